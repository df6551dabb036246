package fs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A name that a download has got or lost on another machine means here what it means
// there, however lately it was looked up.
// Proves S-207.
func TestNamesChangeElsewhere(t *testing.T) {
	m := newTestMount(t, func(c *Config) { c.Elsewhere = true })
	a, b := m.domain.add(idA, nil), m.domain.add(idB, nil)
	for _, d := range []*fakeItem{a, b} {
		file, _ := m.archive(1000)
		d.finish(file, false)
	}
	require.NoError(t, m.domain.Rename(a, "x"))
	assert.Contains(t, m.ok(`ls -lR $D > /dev/null; cat $D/x/status`), idA)
	inode := m.ok(`stat -c %i $D/x/archive.zip`)

	require.NoError(t, m.domain.Rename(a, "old"))
	require.NoError(t, m.domain.Rename(b, "x"))
	assert.Contains(t, m.ok(`cat $D/x/status`), idB)
	assert.NotEqual(t, inode, m.ok(`stat -c %i $D/x/archive.zip`))
	assert.Equal(t, inode, m.ok(`stat -c %i $D/old/archive.zip`))

	require.NoError(t, m.domain.Remove(b))
	out, err := m.sh(`stat $D/x`)
	require.Error(t, err)
	assert.Contains(t, out, "No such file or directory")
}
