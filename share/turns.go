package share

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

// What the server refuses as too large comes in parts, and one mount gets them: the one
// that has the lease of the download. It puts the one zip that they make into the store
// and tells the others, for whom it is an archive like others from then on. So a
// download in parts has two states in the list: what the server says of it, and in
// entry.Parts how far its parts are.

const (
	// listWithin is how long a mount that has a part to ask for waits for the shared list.
	listWithin = 10 * time.Second
	// aloneAfter is how long the store must be of no use before a mount gets parts
	// without asking the others.
	aloneAfter = time.Minute
	// headStart is how much longer a lease must have ended for a mount that has no part
	// yet. So a mount that was restarted goes on with those that it has.
	headStart = 15 * time.Second
	// silentFor is how long the server may be silent for the mount that has the turn.
	silentFor = time.Minute
	// offerEvery is how often a mount tries to put into the store what it has got in
	// parts without a turn.
	offerEvery = 30 * time.Second
)

// turn is a download whose parts this mount gets for all.
type turn struct {
	lease *lease
	ctx   context.Context
	stop  context.CancelFunc
	kept  chan struct{} // closed when nobody renews the lease any more
	sent  chan struct{} // closed when the upload has ended; nil if it has not begun

	// list.mu guards all below.

	lost   bool
	says   *state    // what the others are told; nil: that nobody gets it
	last   bool      // nothing else will be told
	silent time.Time // since when the server does not answer; zero if it does
	spoke  time.Time
}

// Take implements download.Turns.
func (s *Share) Take(ctx context.Context, id download.ID, begun bool) error {
	if s.cfg.Only { // nor could it ask the server
		<-ctx.Done()
		return ctx.Err()
	}
	l, err := s.listed(ctx)
	for good := time.Now(); l != nil && err == nil; err = pause(ctx, leaseBeat) {
		e, _ := l.entry(id)
		switch {
		case l.turn(id) != nil:
			return nil
		case e.Parts == nil || !e.Parts.Status.Ended():
			patience := headStart
			if begun {
				patience = 0
			}
			lease, _, err := s.acquire(ctx, leasePrefix(id), 0, patience)
			switch {
			case lease != nil:
				return l.begin(ctx, id, lease)
			case err == nil:
				good = time.Now()
			case time.Since(good) >= aloneAfter:
				return ctx.Err()
			}
		case e.Parts.Status == download.StatusTooLarge:
			return nil // the share has no room for it
		default:
			good = time.Now() // Supply or Discard comes next
		}
	}
	return err
}

// listed returns the list once it has been read. It returns nil if that takes too long.
func (s *Share) listed(ctx context.Context) (*list, error) {
	late := time.NewTimer(listWithin)
	defer late.Stop()
	select {
	case <-s.followed:
	case <-late.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l := s.following()
	select {
	case <-l.synced:
	case <-late.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l, nil
}

// entry returns what the shared list says of a download.
func (l *list) entry(id download.ID) (e entry, ok bool) {
	l.log.mu.RLock()
	defer l.log.mu.RUnlock()
	if known := l.log.roll.byID[id]; known != nil {
		return *known, true
	}
	return entry{}, false
}

// turn returns this mount's turn, or nil.
func (l *list) turn(id download.ID) *turn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turns[id]
}

// begin begins a turn, and waits a little until the others know of it.
func (l *list) begin(ctx context.Context, id download.ID, lease *lease) error {
	t := &turn{lease: lease, kept: make(chan struct{}), says: &state{Status: download.StatusPending}}
	t.ctx, t.stop = context.WithCancel(l.s.ctx)
	if !l.s.start(func() {
		defer close(t.kept)
		var pieces atomic.Int64
		if lease.keep(t.ctx, &pieces) != nil {
			l.mu.Lock()
			t.lost = true
			l.mu.Unlock()
		}
	}) {
		t.stop()
		return download.ErrClosed
	}
	l.mu.Lock()
	l.turns[id] = t
	l.mu.Unlock()
	l.s.log.Info("getting a download in parts for all", "op", "share", "download", id)
	for began := time.Now(); time.Since(began) < listWithin; {
		if e, _ := l.entry(id); e.Parts != nil {
			return nil
		}
		l.nudge()
		if err := pause(ctx, pollFirst); err != nil {
			return err
		}
	}
	return nil
}

// end ends a turn. It waits for the end of its work, or of ctx. It reports whether there
// may be something of the download in the store.
func (l *list) end(ctx context.Context, id download.ID) (wrote bool) {
	l.mu.Lock()
	t := l.turns[id]
	delete(l.turns, id)
	l.mu.Unlock()
	if t == nil {
		return false
	}
	t.stop()
	for _, ended := range []chan struct{}{t.sent, t.kept} {
		if ended == nil {
			continue
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return true
		}
	}
	if !t.lost {
		t.lease.release(ctx)
	}
	return true
}

// watchTurns decides what the others are to be told of this mount's turns.
func (l *list) watchTurns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, t := range l.turns {
		if t.last {
			continue
		}
		d := l.here(id)
		switch {
		case t.lost:
			t.last = true // another tells
		case d == nil || d.Parts.Status == "":
			t.says, t.last = nil, true
		case d.Parts.Status == download.StatusCancelled:
			t.says, t.last = partsState(d), true
		case d.Parts.Status == download.StatusDone && d.Archive != nil:
			if t.sent == nil {
				t.sent = make(chan struct{})
				info, done := *d.Archive, partsState(d)
				if !l.s.start(func() { l.send(t, info, done) }) {
					t.sent = nil
				}
			}
		case d.Parts.Status.Ended(): // there is no room for the parts here, or they are gone
			t.says, t.last = nil, true
		case l.manager.Answers():
			t.says, t.silent = partsState(d), time.Time{}
		case t.silent.IsZero():
			t.silent = time.Now()
		case time.Since(t.silent) >= silentFor: // another mount may reach the server
			t.says, t.last = nil, true
		}
	}
}

// here returns what this mount's list says of a download, or nil. It holds until the
// next tick.
func (l *list) here(id download.ID) *download.Listed {
	for i := range l.local {
		if d := &l.local[i]; d.ID == id {
			return d
		}
	}
	return nil
}

// partsState is what the others are told of parts.
func partsState(d *download.Listed) *state {
	return stateOf(&download.Listed{Progress: d.Parts, Archive: d.Archive})
}

// turnNews adds what is to be told of parts.
func (l *list) turnNews(changes []change, r *roll) []change {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for id, t := range l.turns {
		e := r.byID[id]
		if e == nil || t.lost || t.says.same(e.Parts) {
			continue
		}
		counters := e.Parts != nil && t.says != nil && e.Parts.Status == t.says.Status
		if counters && now.Sub(t.spoke) < progressEvery {
			continue
		}
		t.spoke = now
		changes = append(changes, change{Op: opParts, ID: id, State: t.says})
	}
	for i := range l.local { // cancelled while another mount gets the parts
		d := &l.local[i]
		if d.Parts.Status != download.StatusCancelled || l.turns[d.ID] != nil {
			continue
		}
		if e := r.byID[d.ID]; e != nil && e.Parts != nil && !e.Parts.Status.Ended() {
			changes = append(changes, change{Op: opParts, ID: d.ID, State: partsState(d)})
		}
	}
	return changes
}

// endTurns ends the turns of which everything has been told.
func (l *list) endTurns(ctx context.Context) {
	l.mu.Lock()
	var over []download.ID
	for id, t := range l.turns {
		e := l.log.roll.byID[id]
		if t.last && (t.lost || e == nil || t.says.same(e.Parts)) {
			over = append(over, id)
		}
	}
	l.mu.Unlock()
	for _, id := range over {
		l.end(ctx, id)
	}
}

// send puts a zip that was made of parts into the store.
func (l *list) send(t *turn, info download.ArchiveInfo, done *state) {
	defer close(t.sent)
	defer l.nudge()
	err := l.s.sendParts(t.ctx, info, func() (download.Archive, error) {
		d, ok := l.manager.ByID(info.ID)
		if !ok {
			return nil, fmt.Errorf("open %s: %w", info.ID, download.ErrNotFound)
		}
		return l.manager.OpenArchive(d)
	})
	log := l.s.log.With("op", "share", "download", info.ID, "len", info.Size)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.ctx.Err() != nil:
		return // removed, or this mount ends
	case err == nil:
		log.Info("archive is in the share", "state", "complete")
		t.says = done
	case errors.Is(err, errNoRoom):
		log.Info("archive is not put into the share; each mount gets it in parts", "state", "incomplete", "err", err)
		t.says = &state{Status: download.StatusTooLarge}
	default:
		log.Info("archive is not put into the share", "state", "incomplete", "err", err)
		t.says = nil
	}
	t.last = true
}

// sendParts puts an archive into the store that is nowhere else. This mount has its
// lease. What another mount has left of it, which may have made another zip of the same
// files, is deleted first.
func (s *Share) sendParts(ctx context.Context, info download.ArchiveInfo, open func() (download.Archive, error)) error {
	if m, err := s.manifest(ctx, info.ID); err == nil && m.of(info) {
		return nil
	}
	if info.Size > maxBlocks*blockSize {
		return fmt.Errorf("%d bytes: %w", info.Size, errNoRoom)
	}
	err := again(ctx, func() bool { return s.deleteObjects(ctx, archivePrefix(info.ID)) == nil })
	if err != nil {
		return err
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	case <-ctx.Done():
		return ctx.Err()
	}
	a := newArchive(s, info)
	a.open = open
	var last error
	err = again(ctx, func() bool {
		var pieces atomic.Int64
		last = a.put(ctx, &pieces)
		return last == nil || errors.Is(last, errNoRoom) || errors.Is(last, errSource)
	})
	return cmp.Or(err, last)
}

// offerParts puts into the store what this mount has got in parts, if it is not there.
func (l *list) offerParts() {
	for i := range l.local {
		d := &l.local[i]
		if d.Parts.Status != download.StatusDone || d.Archive == nil || l.turn(d.ID) != nil {
			continue
		}
		e := l.log.roll.byID[d.ID]
		told := e != nil && e.Parts != nil && e.Parts.Status.Ended()
		if at, tried := l.offered[d.ID]; e == nil || tried && (told || time.Since(at) < offerEvery) {
			continue
		}
		l.offered[d.ID] = time.Now()
		info := *d.Archive
		l.s.start(func() {
			if _, err := l.s.manifest(l.s.ctx, info.ID); told && !errors.Is(err, iofs.ErrNotExist) {
				return
			}
			if lease, _, err := l.s.acquire(l.s.ctx, leasePrefix(info.ID), 0, 0); err == nil && lease != nil {
				_ = l.begin(l.s.ctx, info.ID, lease)
			}
		})
	}
}

// partsAnswer is the state of a download that a mount gets in parts for all. It reports
// false if it is not one.
func (s *Share) partsAnswer(ctx context.Context, id download.ID, e entry) (p download.Progress, ok bool, err error) {
	if e.Parts == nil {
		return p, false, nil
	}
	switch e.Parts.Status {
	case download.StatusDone:
		if _, err := s.manifest(ctx, id); errors.Is(err, iofs.ErrNotExist) {
			return p, true, fmt.Errorf("get %s: it came in parts to another machine, and the share has it no more: %w", id, download.ErrNotFound)
		}
		return e.Parts.progress(id), true, nil
	case download.StatusCancelled:
		return e.Parts.progress(id), true, nil
	case download.StatusTooLarge:
		return p, false, nil
	}
	if s.cfg.Only { // it waits for its end, and can do nothing else
		return e.Parts.progress(id), true, nil
	}
	p = download.Progress{ID: id, Status: download.StatusTooLarge, TotalBytes: e.Parts.TotalBytes, TotalFiles: e.Parts.TotalFiles}
	if e.State != nil && e.State.Status == download.StatusTooLarge {
		p = e.State.progress(id)
	}
	return p, true, nil
}

// inParts reports whether an archive was made of parts, so that the content server does
// not have it.
func (s *Share) inParts(id download.ID) bool {
	l := s.following()
	if l == nil {
		return false
	}
	e, _ := l.entry(id)
	return e.Parts != nil && e.Parts.Status == download.StatusDone
}

// fromServer opens bytes of an archive on the content server, where role says that the
// store does not give them.
func (s *Share) fromServer(ctx context.Context, server download.Source, r role, info download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	switch {
	case r == gone:
		return nil, download.Because(download.ErrExpired, "the archive came in parts to another machine, and the share has it no more; ask for the same nodes again")
	case s.inParts(info.ID):
		return nil, download.Because(download.ErrUnavailable, "the archive came in parts to another machine, so it is in the share only, which cannot be used now or has lost some of it")
	}
	return server.Stream(ctx, info, off, end)
}
