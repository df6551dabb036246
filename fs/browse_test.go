package fs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBrowsers(t *testing.T) {
	b, now := newBrowsers(), time.Unix(1000, 0)
	b.now = func() time.Time { return now }
	assert.False(t, b.browsing(1, 10))
	b.saw(1, 10)
	assert.True(t, b.browsing(1, 10))
	assert.False(t, b.browsing(2, 10), "another directory")
	assert.False(t, b.browsing(1, 11), "another process")
	now = now.Add(browseWindow - 1)
	assert.True(t, b.browsing(1, 10))
	now = now.Add(1)
	assert.False(t, b.browsing(1, 10), "too long ago")
	b.saw(1, 10)
	assert.True(t, b.browsing(1, 10), "again")
	b.saw(1, 0)
	assert.False(t, b.browsing(1, 0), "a process that cannot be seen")
}

// However many processes list however many directories, little is remembered.
func TestBrowsersBounded(t *testing.T) {
	b, now := newBrowsers(), time.Unix(1000, 0)
	b.now = func() time.Time { return now }
	for i := range 2 * maxBrowsers {
		b.saw(uint64(i), 10)
	}
	assert.Len(t, b.listed, maxBrowsers)
	assert.False(t, b.browsing(2*maxBrowsers-1, 10))
	now = now.Add(browseWindow)
	b.saw(7, 11)
	assert.Len(t, b.listed, 1, "old ones make room")
	assert.True(t, b.browsing(7, 11))
}
