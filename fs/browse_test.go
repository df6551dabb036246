package fs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBrowsers(t *testing.T) {
	b, now := newBrowsers(), time.Unix(1000, 0)
	b.now = func() time.Time { return now }
	assert.False(t, b.browsing(1, seen(10)))
	b.saw(1, seen(10))
	assert.True(t, b.browsing(1, seen(10)))
	assert.False(t, b.browsing(2, seen(10)), "another directory")
	assert.False(t, b.browsing(1, seen(11)), "another process")
	now = now.Add(browseWindow - 1)
	assert.True(t, b.browsing(1, seen(10)))
	now = now.Add(1)
	assert.False(t, b.browsing(1, seen(10)), "too long ago")
	b.saw(1, seen(10))
	assert.True(t, b.browsing(1, seen(10)), "again")
	b.saw(1, hidden(1000))
	assert.True(t, b.browsing(1, hidden(1000)), "somebody who cannot be seen")
	assert.False(t, b.browsing(1, hidden(1001)), "another user")
	assert.False(t, b.browsing(1, hidden(0)), "root, whose number is that of nobody seen")
}

// However many processes list however many directories, little is remembered.
func TestBrowsersBounded(t *testing.T) {
	b, now := newBrowsers(), time.Unix(1000, 0)
	b.now = func() time.Time { return now }
	for i := range 2 * maxBrowsers {
		b.saw(uint64(i), seen(10))
	}
	assert.Len(t, b.listed, maxBrowsers)
	assert.False(t, b.browsing(2*maxBrowsers-1, seen(10)))
	now = now.Add(browseWindow)
	b.saw(7, seen(11))
	assert.Len(t, b.listed, 1, "old ones make room")
	assert.True(t, b.browsing(7, seen(11)))
}
