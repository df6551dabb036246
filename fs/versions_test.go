package fs

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// After a read has failed because the archive is another one, nothing that the kernel or
// contents keep of the earlier one is mixed with the later one.
// Proves S-20, S-105.
func TestAnotherVersion(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.file(bytes.Repeat([]byte{'a'}, 4<<20)), false)
	becomes := func(next []byte) {
		m.ok(`dd if=$D/d1/archive.zip iflag=nocache count=0`)
		m.domain.script(func(*fakeDomain) {
			d.onRead = func(_ context.Context, off int64) error {
				if off >= 3<<20 {
					return download.ErrChanged
				}
				return nil
			}
		})
		out, err := m.sh(`cat $D/d1/archive.zip >/dev/null`)
		require.Error(t, err)
		assert.Contains(t, out, "Input/output error")
		m.domain.script(func(*fakeDomain) { d.onRead, d.file = nil, m.file(next) })
	}
	for _, letter := range "bc" { // twice
		next := bytes.Repeat([]byte{byte(letter)}, 4<<20)
		becomes(next)
		for range 2 {
			assert.Contains(t, m.ok(`sha256sum < $D/d1/archive.zip`), hash(next))
		}
	}
}

// Proves S-20, S-105.
func TestContentsOfAnotherVersion(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	version := func(letter string) []document {
		return []document{
			{name: "first " + letter, text: "a name that only this version has"},
			{name: "same.txt", text: strings.Repeat(letter, 30_000), header: stored},
			{name: "large.txt", text: strings.Repeat(letter, 3<<20), header: stored},
		}
	}
	d.finish(m.zipped(version("a")...), false)
	m.ok(`cd $D/d1/contents/ && cat * >/dev/null && ls -l`)
	m.domain.script(func(*fakeDomain) { d.onRead = func(context.Context, int64) error { return download.ErrChanged } })
	out, err := m.sh(`dd if=$D/d1/contents/large.txt of=/dev/null iflag=direct bs=1M; cat $D/d1/archive.zip >/dev/null`)
	require.Error(t, err, out)
	m.domain.script(func(*fakeDomain) { d.onRead, d.file = nil, m.zipped(version("b")...) })
	assert.Equal(t, "first b\nlarge.txt\nsame.txt", m.ok(`ls $D/d1/contents/`))
	for _, doc := range version("b") {
		assert.Contains(t, m.ok(`sha256sum < "$D/d1/contents/`+doc.name+`"`), hash([]byte(doc.text)))
	}
}

// What is kept of downloads that another mount has removed is bounded.
// Proves S-148.
func TestContentsOfRemovedElsewhere(t *testing.T) {
	m := newTestMount(t, func(c *Config) { c.Elsewhere = true })
	for i := range 3 * fewContents {
		d := m.domain.add(download.ID(fmt.Sprintf("d%d", i)), nil)
		d.finish(m.zipped(documents[0]), false)
		m.ok(fmt.Sprintf(`ls $D/d%d/contents/`, i))
		require.NoError(t, m.domain.Remove(d)) // another mount of the share has removed it
	}
	c := m.server.fs.contents
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.LessOrEqual(t, len(c.all), fewContents+1)
}
