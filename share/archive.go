package share

import (
	"context"
	"errors"
	iofs "io/fs"
	"sync"
	"time"

	"downloadfs/download"
)

// role says where this mount reads an archive from.
type role int

const (
	unknown  role = iota
	away          // the content server: the store cannot be used, or has no place for it
	holder        // the content server: this mount fetches it for all
	follower      // the store, as it comes
	whole         // the store, which has all of it
	gone          // nowhere: it was in the store only, and is there no more
)

const (
	// lookEvery is how often a follower looks whether the holder lives.
	lookEvery = 5 * time.Second
	// awayFor is how long a mount reads from the content server before it looks again.
	awayFor = 10 * time.Second
)

// archive is what this mount knows of one archive in the store.
type archive struct {
	s      *Share
	info   download.ArchiveInfo
	layout layout
	open   func() (download.Archive, error) // what is put into the store

	mu      sync.Mutex // guards all below
	role    role
	until   time.Time     // when to look again, if away or follower
	looking chan struct{} // closed when somebody has looked; nil if nobody does
	headers map[int]*header
	bad     map[int]bool  // pieces that are damaged
	reached int           // how many pieces the holder has written, in their order
	stop    func()        // ends the upload; nil if there is none
	stopped chan struct{} // closed when the upload has ended
	ended   bool
}

func newArchive(s *Share, info download.ArchiveInfo) *archive {
	return &archive{s: s, info: info, layout: newLayout(info.Size), headers: make(map[int]*header), bad: make(map[int]bool),
		open: func() (download.Archive, error) { return s.has().Open(info) }}
}

// end ends the upload, and waits for its end or ctx's. It reports whether there was one.
func (a *archive) end(ctx context.Context) bool {
	a.mu.Lock()
	a.ended = true
	a.mu.Unlock()
	return a.endUpload(ctx)
}

func (a *archive) endUpload(ctx context.Context) bool {
	a.mu.Lock()
	var stopped chan struct{}
	if a.stop != nil {
		a.stop()
		stopped = a.stopped
	}
	a.mu.Unlock()
	if stopped == nil {
		return false
	}
	select {
	case <-stopped:
	case <-ctx.Done():
	}
	return true
}

// anew ends the upload, and forgets what the store had of the archive.
func (a *archive) anew(ctx context.Context) {
	a.endUpload(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.role, a.reached = unknown, 0
	clear(a.headers)
	clear(a.bad)
}

// known returns the archive's role if it is sure for now. a.mu is held.
func (a *archive) known() (role, bool) {
	switch {
	case a.ended:
		return away, true
	case a.role == whole, a.role == holder:
		return a.role, true
	}
	return a.role, a.role != unknown && time.Now().Before(a.until)
}

// look returns the archive's role. It asks the store if the role is not known, or no
// longer sure. One caller asks for all. The error is ctx's.
func (a *archive) look(ctx context.Context) (role, error) {
	a.mu.Lock()
	for {
		if r, ok := a.known(); ok {
			a.mu.Unlock()
			return r, nil
		}
		looking := a.looking
		if looking == nil {
			break
		}
		a.mu.Unlock()
		select {
		case <-looking:
		case <-ctx.Done():
			return unknown, ctx.Err()
		}
		a.mu.Lock()
	}
	a.looking = make(chan struct{})
	a.mu.Unlock()

	r, lease, reached, err := a.find(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.looking)
	a.looking = nil
	if err != nil && ctx.Err() != nil {
		return unknown, ctx.Err()
	}
	a.role, a.reached = r, max(a.reached, reached)
	a.until = time.Now().Add(lookEvery)
	if r == away || r == gone {
		a.until = time.Now().Add(awayFor)
	}
	if lease != nil && (a.ended || !a.fetch(lease)) {
		<-a.s.uploads
		a.role = away
	}
	return a.role, nil
}

// find asks the store who has the archive, and tries to get the lease if nobody has. With
// the lease, the caller gets a slot of uploads.
func (a *archive) find(ctx context.Context) (r role, l *lease, reached int, err error) {
	if a.s.store.down() {
		return away, nil, 0, nil
	}
	switch m, err := a.s.manifest(ctx, a.info.ID); {
	case err == nil && m.of(a.info):
		return whole, nil, 0, nil
	case err == nil:
		a.s.log.Warn("the share has another archive of this id; reading from the content server", "op", "share", "download", a.info.ID)
		return away, nil, 0, nil
	case errors.Is(err, errOtherKey):
		a.s.log.Warn("what the share says of an archive is encrypted with another key; reading from the content server", "op", "share", "download", a.info.ID)
		return away, nil, 0, nil
	case errors.Is(err, errDamaged):
		a.s.log.Warn("what the share says of an archive is damaged; 'downloadfs share verify' drops it", "op", "share", "download", a.info.ID, "err", err)
		return away, nil, 0, nil
	case !errors.Is(err, iofs.ErrNotExist):
		return away, nil, 0, err
	}
	if a.s.inParts(a.info.ID) {
		return gone, nil, 0, nil
	}
	local := a.s.has()
	if a.s.cfg.Only || local == nil || !a.s.cfg.Whole && !local.Complete(a.info.ID) || a.info.Size > a.s.cfg.Size {
		return away, nil, 0, nil
	}
	if len(a.s.uploads) == cap(a.s.uploads) {
		return away, nil, 0, nil // it would hold a lease that it cannot use yet
	}
	l, reached, err = a.s.acquire(ctx, leasePrefix(a.info.ID), 0, 0)
	switch {
	case err != nil:
		return away, nil, 0, err
	case l != nil:
		select {
		case a.s.uploads <- struct{}{}:
			return holder, l, 0, nil
		default: // others have taken the slots meanwhile
			l.giveUp()
			return away, nil, 0, nil
		}
	case !a.s.cfg.Whole:
		return away, nil, 0, nil // it does not wait for others
	}
	return follower, nil, reached, nil
}

// lookAgain makes the next look ask the store.
func (a *archive) lookAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.role != holder {
		a.role = unknown
	}
}

// header returns the header of piece k from memory, or nil.
func (a *archive) header(k int) *header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.headers[k]
}

// takeHeader checks the header of piece k and keeps it.
func (a *archive) takeHeader(k int, p []byte) (*header, error) {
	h, err := decodeHeader(p)
	if err == nil {
		err = h.check(a.s.cfg.Account, a.info, a.layout, k)
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.headers[k] = &h
	return &h, nil
}

// spoil notes that piece k cannot be used.
func (a *archive) spoil(k int, err error) {
	a.mu.Lock()
	known := a.bad[k]
	a.bad[k] = true
	a.mu.Unlock()
	switch {
	case known:
	case errors.Is(err, errOtherKey):
		a.s.log.Warn("a piece of an archive in the share is encrypted with another key; reading it from the content server",
			"op", "share", "download", a.info.ID, "off", a.layout.offset(k*pieceBlocks))
	default:
		a.s.log.Warn("a piece of an archive in the share is damaged; reading it from the content server. 'downloadfs share verify' drops it",
			"op", "share", "download", a.info.ID, "off", a.layout.offset(k*pieceBlocks), "err", err)
	}
}

func (a *archive) spoilt(k int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bad[k]
}

// arrived notes that piece k is in the store.
func (a *archive) arrived(k int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reached = max(a.reached, a.layout.turn(k)+1)
}

// near is how many pieces from where the holder is are worth waiting for: 128 MiB.
const near = 8

// due reports whether the holder is fetching piece k now, or will soon.
func (a *archive) due(k int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.layout.turn(k) <= a.reached+near
}
