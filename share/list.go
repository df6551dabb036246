package share

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"downloadfs/download"
)

const (
	// tickEvery is how often a mount looks for changes of its own list.
	tickEvery = time.Second
	// readEvery is how often it looks for those of others.
	readEvery = 2 * time.Second
	// progressEvery is how often the leader tells of counters. The end of a download it
	// tells at once.
	progressEvery = 4 * time.Second
	// leadBeat is how often the leader writes a record if there is nothing to tell.
	leadBeat = 10 * time.Second
	// leadFor is how long a leader is believed in that writes nothing.
	leadFor = 30 * time.Second
	// trustFor is how long what was read last is good enough to answer from.
	trustFor = 15 * time.Second
	// lookFor is how long somebody who waits is believed to wait.
	lookFor = 4 * time.Second
	// listings is how many downloads are listed here at once.
	listings = 512
)

// Manager is a mount's list of downloads. *download.Manager implements it.
type Manager interface {
	Roll(dst []download.Listed) []download.Listed
	ByID(id download.ID) (*download.Download, bool)
	Lookup(name string) (*download.Download, bool)
	Enlist(l download.Listed) (*download.Download, error)
	Rename(d *download.Download, name string) error
	Remove(d *download.Download) error
	Discard(d *download.Download) error
	Supply(d *download.Download, l download.Listed) error
	OpenArchive(d *download.Download) (download.Archive, error)
	Answers() bool
}

// list keeps a mount's list and the shared one the same. One goroutine runs it.
type list struct {
	s       *Share
	manager Manager
	log     *rollLog
	kick    chan struct{}

	base  known
	first bool // nothing has been merged yet
	local []download.Listed
	read  time.Time // the last catchUp
	wrote time.Time // the last record of this mount
	spoke time.Time // the last record with counters
	// foreign: the log says that the list is encrypted with another key.
	foreign bool
	offered map[download.ID]time.Time // got in parts without a turn: the latest try
	stored  map[download.ID]string    // the log in which its nodes have an object of their own

	mu      sync.Mutex // guards all below
	good    time.Time  // when the last catchUp began that succeeded
	gone    map[download.ID]bool
	asked   map[download.ID]time.Time // the last Get of each download here
	waited  map[download.ID]time.Time // somebody waits here
	told    map[download.ID]time.Time // somebody waits somewhere, by the list
	synced  chan struct{}             // closed after the first merge
	unheard bool                      // synced is still open
	turns   map[download.ID]*turn     // of this mount
}

// Follow makes the manager's list and that of all mounts of the account the same. Call
// it once, when the manager is open.
func (s *Share) Follow(m Manager) {
	l := &list{
		s: s, manager: m, log: newRollLog(s), kick: make(chan struct{}, 1), base: make(known), first: true,
		gone: make(map[download.ID]bool), asked: make(map[download.ID]time.Time),
		waited: make(map[download.ID]time.Time), told: make(map[download.ID]time.Time),
		synced: make(chan struct{}), unheard: true,
		offered: make(map[download.ID]time.Time), stored: make(map[download.ID]string), turns: make(map[download.ID]*turn),
	}
	l.log.told = l.heard
	s.mu.Lock()
	s.list = l
	s.mu.Unlock()
	close(s.followed)
	s.start(l.run)
}

// Synced is closed when the list has been read for the first time. It is nil before
// Follow.
func (s *Share) Synced() <-chan struct{} {
	if l := s.following(); l != nil {
		return l.synced
	}
	return nil
}

func (s *Share) following() *list {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list
}

func (l *list) run() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		l.tick(l.s.ctx)
		select {
		case <-tick.C:
		case <-l.kick:
		case <-l.s.ctx.Done():
			ctx, cancel := context.WithTimeout(context.Background(), releasedWithin)
			l.leave(ctx)
			cancel()
			return
		}
	}
}

// nudge makes the next tick come now.
func (l *list) nudge() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *list) tick(ctx context.Context) {
	l.renew(ctx)
	if l.first || l.log.looked.IsZero() || time.Since(l.read) >= readEvery {
		l.read = time.Now()
		if err := l.log.catchUp(ctx); err != nil {
			l.unread(err)
			return
		}
		l.foreign = false
		l.mu.Lock()
		l.good = l.read
		l.mu.Unlock()
	}
	l.local = l.manager.Roll(l.local[:0])
	l.watchTurns()
	if err := l.putNodes(ctx); err != nil {
		l.s.log.Debug("a list of nodes cannot be written to the share", "op", "share", "err", err)
	} else if rec, err := l.log.write(ctx, l.news); err != nil {
		// The others are told later. What they have told is done all the same.
		l.s.log.Debug("the shared list cannot be written", "op", "share", "err", err)
	} else if rec != nil {
		l.wrote = time.Now()
		l.base.published(rec.Changes)
	}
	l.follow(ctx, merge(l.base, l.local, l.log.roll, l.first))
	if !l.s.cfg.Only {
		l.endTurns(ctx)
		l.offerParts()
	}
	if l.first = false; l.unheard {
		l.unheard = false
		close(l.synced)
	}
}

// unread logs why the shared list cannot be read.
func (l *list) unread(err error) {
	switch {
	case !errors.Is(err, errOtherKey):
		l.s.log.Debug("the shared list cannot be read", "op", "share", "err", err)
	case !l.foreign:
		l.foreign = true
		l.s.log.Warn("others write the shared list with another key, so it is not followed; add that key to --share-key-file", "op", "share", "err", err)
	}
}

// news returns what this mount has to tell the others, or nil.
func (l *list) news(r *roll) *record {
	now := time.Now()
	l.mu.Lock()
	maps.DeleteFunc(l.asked, func(_ download.ID, at time.Time) bool { return now.Sub(at) >= lookFor })
	l.mu.Unlock()
	changes := merge(l.base, l.local, r, l.first).publish
	if l.s.cfg.Only {
		l.base.published(changes) // so that the next tick undoes them
		return nil
	}
	lead := r.Leader == l.s.mount
	switch {
	case lead && !l.manager.Answers():
		// Another may reach the content server.
		changes = append(changes, change{Op: opLead, Leave: true})
		lead = false
	case lead:
		changes = l.states(changes, r)
	case l.manager.Answers() && (r.Leader == "" || now.Sub(l.log.heard) >= leadFor):
		changes = append(changes, change{Op: opLead, Over: r.LeaderSeq})
	}
	changes = l.turnNews(changes, r)
	l.mu.Lock()
	for id, at := range l.waited {
		if now.Sub(at) >= lookFor {
			delete(l.waited, id)
		} else if now.Sub(l.told[id]) >= lookFor && r.byID[id] != nil && !lead {
			changes = append(changes, change{Op: opLook, ID: id})
		}
	}
	l.mu.Unlock()
	if len(changes) == 0 && !(lead && now.Sub(l.wrote) >= leadBeat) {
		return nil
	}
	return &record{Changes: changes[:min(len(changes), maxChanges)]}
}

// states adds what the content server has told this mount, and not yet the others.
func (l *list) states(changes []change, r *roll) []change {
	counters := time.Since(l.spoke) >= progressEvery
	for i := range l.local {
		d := &l.local[i]
		e := r.byID[d.ID]
		if e == nil || e.Parts != nil || d.Status == download.StatusDone && d.Archive == nil {
			continue
		}
		s := stateOf(d)
		if s.same(e.State) || !counters && e.State != nil && s.Status == e.State.Status {
			continue
		}
		if !s.Status.Ended() {
			l.spoke = time.Now()
		}
		changes = append(changes, change{Op: opState, ID: d.ID, State: s})
	}
	return changes
}

// follow does here what others did elsewhere.
func (l *list) follow(ctx context.Context, s steps) {
	for i := range l.local { // what is the same needs no step
		d := &l.local[i]
		if e := l.log.roll.byID[d.ID]; e != nil && e.Name == d.Name {
			l.base[d.ID] = d.Name
		}
	}
	for _, id := range s.remove {
		d, ok := l.manager.ByID(id)
		if !ok {
			continue
		}
		if _, was := l.base[id]; !was {
			l.base[id] = "" // so that it is tried again if it fails
		}
		l.mu.Lock()
		l.gone[id] = true // whoever removed it tells the content server
		l.mu.Unlock()
		if err := l.manager.Remove(d); err != nil && !errors.Is(err, download.ErrNotFound) {
			l.s.log.Warn("a download that was removed elsewhere stays listed; trying again", "op", "share", "download", id, "err", err)
			continue
		}
		delete(l.base, id)
	}
	l.followParts(s)
	var (
		g     errgroup.Group
		mu    sync.Mutex
		named []*entry
	)
	g.SetLimit(listings)
	for _, e := range s.enlist {
		l.mu.Lock()
		delete(l.gone, e.ID)
		l.mu.Unlock()
		g.Go(func() error {
			listed := e.listed()
			var err error
			if listed.Nodes, err = l.nodesOf(ctx, e); err != nil {
				l.s.log.Debug("a list of nodes cannot be read from the share", "op", "share", "download", e.ID, "err", err)
				return nil
			}
			d, err := l.manager.Enlist(listed)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil, errors.Is(err, download.ErrNotFound):
				// If it is being removed here, the others are told of that next.
				l.base[e.ID] = ""
				switch {
				case d == nil || e.Name == "":
				case d.Snapshot().Name == e.Name:
					l.base[e.ID] = e.Name
				default:
					named = append(named, e)
				}
			case errors.Is(err, download.ErrExists): // made here meanwhile
			default:
				l.s.log.Debug("a download of another mount is not listed", "op", "share", "download", e.ID, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, e := range append(s.rename, named...) {
		l.rename(e)
	}
}

// followParts takes in how far the parts are that other mounts get.
func (l *list) followParts(s steps) {
	for _, e := range s.supply {
		if l.turn(e.ID) != nil {
			continue // this mount knows better
		}
		if d, ok := l.manager.ByID(e.ID); ok {
			if err := l.manager.Supply(d, e.partsListed()); err != nil {
				l.s.log.Debug("what another mount has got in parts is not taken over", "op", "share", "download", e.ID, "err", err)
			}
		}
	}
	for _, e := range s.cancel {
		if d, ok := l.manager.ByID(e.ID); ok {
			if err := l.manager.Discard(d); err != nil {
				l.s.log.Debug("a download that was cancelled elsewhere is not cancelled here", "op", "share", "download", e.ID, "err", err)
			}
		}
	}
}

// partsListed is the download as its parts make it.
func (e *entry) partsListed() download.Listed {
	return download.Listed{Progress: e.Parts.progress(e.ID), Archive: e.Parts.archive(e.ID)}
}

func (e *entry) listed() download.Listed {
	l := download.Listed{Name: e.Name, Progress: download.Progress{ID: e.ID, Status: download.StatusPending}, Nodes: e.Nodes, CreatedAt: e.At}
	if e.State != nil {
		l.Progress, l.Archive = e.State.progress(e.ID), e.State.archive(e.ID)
	}
	if e.Parts != nil && e.Parts.Status != download.StatusTooLarge {
		l.Progress, l.Archive = e.Parts.progress(e.ID), e.Parts.archive(e.ID)
	}
	return l
}

// rename gives a download the name that it has in the shared list.
func (l *list) rename(e *entry) {
	d, ok := l.manager.ByID(e.ID)
	if !ok {
		return
	}
	name := e.Name
	if name == "" {
		name = string(e.ID)
	}
	err := l.manager.Rename(d, name)
	if errors.Is(err, download.ErrExists) {
		// Whoever has it here has another name in the shared list, or will get it.
		if other, ok := l.manager.Lookup(name); ok && other.ID() != e.ID && l.manager.Rename(other, string(other.ID())) == nil {
			l.base[other.ID()] = ""
			err = l.manager.Rename(d, name)
		}
	}
	if err != nil {
		l.s.log.Debug("a download keeps another name here", "op", "share", "download", e.ID, "err", err)
		return
	}
	l.base[e.ID] = e.Name
}

// leave tells the others what they do not know yet, and that this mount asks the
// content server no more.
func (l *list) leave(ctx context.Context) {
	if l.s.cfg.Only {
		return
	}
	l.mu.Lock()
	turns := slices.Collect(maps.Keys(l.turns))
	l.mu.Unlock()
	for _, id := range turns {
		l.end(ctx, id)
	}
	l.local = l.manager.Roll(l.local[:0])
	_, _ = l.log.write(ctx, func(r *roll) *record {
		var rec record
		if !l.first {
			changes := merge(l.base, l.local, r, false).publish
			rec.Changes = changes[:min(len(changes), maxChanges)]
		}
		if r.Leader == l.s.mount {
			l.spoke = time.Time{}
			rec.Changes = append(l.states(rec.Changes, r), change{Op: opLead, Leave: true})
		}
		if len(rec.Changes) == 0 {
			return nil
		}
		l.base.published(rec.Changes)
		return &rec
	})
}

// heard takes in what a record tells.
func (l *list) heard(changed, looked []download.ID) {
	now := time.Now()
	l.mu.Lock()
	for _, id := range looked {
		l.told[id] = now
	}
	for id, at := range l.told {
		if now.Sub(at) >= 2*lookFor {
			delete(l.told, id)
		}
	}
	leads := l.log.roll.Leader == l.s.mount
	here := make([]download.ID, 0, len(changed))
	for _, id := range changed {
		if !l.waited[id].IsZero() {
			here = append(here, id)
		}
	}
	l.mu.Unlock()
	if leads {
		here = append(here, looked...)
	}
	for _, id := range here {
		if d, ok := l.manager.ByID(id); ok {
			d.Look()
		}
	}
}

// readSince waits, for a while, until the list has been read after began.
func (l *list) readSince(ctx context.Context, began time.Time) {
	for waited := time.Duration(0); waited < listWithin; waited += pollFirst {
		l.mu.Lock()
		read := l.good.After(began)
		l.mu.Unlock()
		if read || l.s.store.down() || pause(ctx, pollFirst) != nil {
			return
		}
	}
}

// answer returns what the shared list says of a download, for a mount that need not ask
// the content server. It reports false if this mount has to.
func (l *list) answer(id download.ID) (e entry, ok bool) {
	l.mu.Lock()
	now := time.Now()
	fresh := now.Sub(l.good) < trustFor
	if now.Sub(l.asked[id]) < lookFor { // it is asked often: somebody waits
		l.waited[id] = now
	}
	l.asked[id] = now
	l.mu.Unlock()
	l.log.mu.RLock()
	defer l.log.mu.RUnlock()
	r := l.log.roll
	known := r.byID[id]
	if known == nil || known.State == nil || !l.s.cfg.Only && (!fresh || r.Leader == l.s.mount || r.Leader == "") {
		return entry{}, false
	}
	return *known, true
}

// elsewhere reports whether a download was removed by another mount, which tells the
// content server.
func (l *list) elsewhere(id download.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone[id]
}
