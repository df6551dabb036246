package fs

import (
	"sync"
	"time"
)

// maxBrowsers bounds how many listings are remembered. A process beyond it counts as
// touching: it waits.
const maxBrowsers = 16 << 10

// browsers remembers which callers have lately listed the directory of which
// download, or browsed there in another way. waits.go says what this is used for.
type browsers struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	listed map[listing]time.Time
	swept  time.Time // when old listings were last dropped
}

// listing is one caller in the directory of one download.
type listing struct {
	serial uint64
	who    caller
}

func newBrowsers() *browsers {
	return &browsers{listed: make(map[listing]time.Time), now: time.Now}
}

// saw notes that who lists a directory.
func (b *browsers) saw(serial uint64, who caller) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	key := listing{serial, who}
	if _, known := b.listed[key]; !known && len(b.listed) >= maxBrowsers {
		b.sweepLocked(now)
		if len(b.listed) >= maxBrowsers {
			return
		}
	}
	b.listed[key] = now
}

// sweepLocked drops old listings, at most once in a window: it looks at all of them.
func (b *browsers) sweepLocked(now time.Time) {
	if now.Sub(b.swept) < browseWindow {
		return
	}
	b.swept = now
	for k, t := range b.listed {
		if now.Sub(t) >= browseWindow {
			delete(b.listed, k)
		}
	}
}

// browsing reports whether the caller who has just listed the directory.
func (b *browsers) browsing(serial uint64, who caller) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, ok := b.listed[listing{serial, who}]
	return ok && b.now().Sub(t) < browseWindow
}
