package download

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"downloadfs/download/schedule"
	"downloadfs/download/split"
	"downloadfs/zipfile"
)

// A download that the server refuses as too large is got in parts. Each part is a
// download of its own that nobody sees, and the zips are shown as one. See [split.Plan]
// for what the parts are, and [zipfile.Stitched] for the one zip.
//
// A download that is got in parts keeps its id, the id of the download that the server
// refused. It is not polled any more. A goroutine of its own walks the nodes, asks for
// the parts, fetches them whole into the cache and has them deleted on the server. The
// download is DONE when all parts are in the cache, which is their only place from then
// on. The journal keeps how far it got.

// assembly is the state of a download that is got in parts. Manager.mu guards it.
type assembly struct {
	limit  int64  // of the content of a part
	idle   bool   // the server has refused the whole, so it zips nothing of it
	name   string // of the one zip
	looked Looked // by the walk, which ends when there are pieces
	pieces []*piece
	keys   uint32 // the last key given to a piece

	// err is why it does not go on for now or, once the download has ended, why it
	// ended.
	err          error
	failingSince time.Time // since when there was no answer; zero when there was one
	refused      doubt     // that a refusal is for good

	stop    context.CancelFunc // of its goroutine; nil if there was none
	stopped chan struct{}      // closed when the goroutine has ended
	nudge   chan struct{}      // capacity 1: try again now
	ended   bool               // give its pins back when nobody reads them
	readers int                // of its pins: open archives, and its goroutine
	pins    map[uint32]Archive // by piece key; a pin makes the cache keep what is nowhere else
	view    *zipfile.Stitched
	viewing chan struct{} // capacity 1: held while the view is made
}

// piece is a run of entries of the one zip, and how far it has been got.
type piece struct {
	split.Piece
	key      uint32
	serial   uint64      // of its journal record; 0: none
	id       ID          // of its zip on the server, or the name of the file in the cache
	fetched  bool        // it is in the cache, whole
	archive  ArchiveInfo // what is in the cache
	crc      uint32      // of a file
	progress Progress
	asked    time.Time // when the zip was asked for in this mount
	reached  int64     // how many of its bytes have come on the way into the cache
	tries    int
	lost     error // why the latest try failed
}

// DefaultPartSize is an Alfresco server's default limit of content.
const DefaultPartSize = 2_152_852_358

const (
	maxPartTries = 4 // each may meet a dead zip, a cleaner or somebody else's cancelling
	// partsOnServer is how many parts the server may hold at once: one is zipped while
	// another is fetched.
	partsOnServer   = 2
	assemblySlowest = 5 * time.Minute // between two tries
	assemblyRest    = time.Hour       // after the last of maxPartTries, if no waiter comes
)

// errReplanned means that the plan has changed.
var errReplanned = errors.New("the plan has changed")

// PartsProgress tells how far a download is that is got in parts.
type PartsProgress struct {
	Total, Done int // zips and files; both 0 if it is not got in parts
	Running     int // the number of the part that the server works on; 0 if none
	// Looked tells how far the walk is that goes before. It is zero afterwards.
	Looked Looked
}

// Looked is what a walk has seen so far: the folders that it has looked into, and the
// files and folders in them.
type Looked struct{ Folders, Nodes int }

func newAssembly(limit int64) *assembly {
	return &assembly{limit: limit, nudge: make(chan struct{}, 1), viewing: make(chan struct{}, 1), pins: make(map[uint32]Archive)}
}

// canAssemble reports whether d may be got in parts. m.mu is held.
func (m *Manager) canAssemble(d *Download) bool {
	return m.nodes != nil && m.partSize >= 0 && len(d.nodes) > 0 && d.parts == nil && !d.cancelled && !d.removed
}

// tooMuch reports whether p, the server's answer about d, means that d is to be got in
// parts. m.mu is held.
func (m *Manager) tooMuch(d *Download, p Progress) bool {
	if !m.canAssemble(d) {
		return false
	}
	switch p.Status {
	case StatusTooLarge:
		return true
	case StatusPending, StatusInProgress:
		// It would be cancelled on the server. The mount that made it may do so.
		return m.partSize > 0 && p.TotalBytes > m.partSize && !d.dropped
	}
	return false
}

// assemble starts getting d in parts. m.mu is held.
func (m *Manager) assemble(d *Download, p Progress) {
	limit := int64(DefaultPartSize)
	if p.Status == StatusTooLarge && p.BytesAdded > 0 {
		limit = p.BytesAdded
	}
	if m.partSize > 0 {
		limit = min(limit, m.partSize)
	}
	old := d.progress.Status
	d.parts, d.elsewhere = newAssembly(limit), Progress{}
	d.parts.idle = p.Status == StatusTooLarge
	d.settled, d.changedAt = true, time.Now()
	d.progress = Progress{ID: d.id, Status: StatusPending, TotalBytes: p.TotalBytes, TotalFiles: p.TotalFiles}
	m.transition(d, old)
	m.logLater(slog.LevelInfo, "too large for one zip of the server; getting it in parts", "op", "parts", "download", d.id,
		"len", p.TotalBytes, "limit", limit)
	m.startAssembly(d)
}

// startAssembly starts d's goroutine. m.mu is held.
func (m *Manager) startAssembly(d *Download) {
	if m.closing {
		return
	}
	ctx, stop := context.WithCancel(m.ctx)
	stopped := make(chan struct{})
	a := d.parts
	a.stop, a.stopped = stop, stopped
	a.readers++
	m.running.Go(func() {
		defer close(stopped)
		defer stop()
		m.getParts(ctx, d)
		m.locked(func() { a.readers-- })
		m.letGo(a)
	})
}

// measure looks, while the server zips something huge, for a file that would end the
// zip without a word.
func (m *Manager) measure(d *Download) {
	limits := split.Limits{Part: 1 << 62, File: m.maxFile}
	trees, err := split.Walk(m.ctx, m.walked(nil), bare(d.nodes), limits)
	if err != nil {
		m.log.Debug("sizes not known", "op", "measure", "download", d.id, "err", err)
		return
	}
	for _, t := range trees {
		if t.Largest > m.maxFile {
			m.locked(func() {
				if m.canAssemble(d) && !d.progress.Status.Ended() {
					m.assemble(d, d.progress)
				}
			})
			return
		}
	}
}

func bare(nodes []NodeID) []string {
	ids := make([]string, len(nodes))
	for i, n := range nodes {
		ids[i] = string(n.Bare())
	}
	return ids
}

// walked is the repository that split walks. request makes each request, and looked, if
// it is not nil, is told of each page of children.
type walked struct {
	nodes   Nodes
	request func(ctx context.Context, do func(context.Context) error) error
	looked  func(Looked)
}

func (m *Manager) walked(looked func(Looked)) walked {
	return walked{m.nodes, func(ctx context.Context, do func(context.Context) error) error {
		return m.request(ctx, "walk", "", do)
	}, looked}
}

// looks returns a function that counts what a walk for d sees.
func (m *Manager) looks(d *Download) func(Looked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d.parts.looked = Looked{}
	return func(l Looked) {
		m.mu.Lock()
		defer m.mu.Unlock()
		seen := &d.parts.looked
		seen.Folders, seen.Nodes = seen.Folders+l.Folders, seen.Nodes+l.Nodes
		m.change(d)
	}
}

// LargestFile returns the size of the largest file among the nodes and in the folders
// among them. It blocks until it has looked into each folder, which is a request for
// each thousand children.
func LargestFile(ctx context.Context, nodes Nodes, ids []NodeID) (int64, error) {
	w := walked{nodes, func(ctx context.Context, do func(context.Context) error) error { return do(ctx) }, nil}
	trees, err := split.Walk(ctx, w, bare(ids), split.Limits{Part: 1 << 62, File: 1 << 62})
	if err != nil {
		return 0, fmt.Errorf("look how large the files are: %w", err)
	}
	var largest int64
	for _, t := range trees {
		largest = max(largest, t.Largest)
	}
	return largest, nil
}

func splitNode(n Node) split.Node {
	return split.Node{ID: string(n.ID), Name: n.Name, Folder: n.Folder, Size: n.Size, Modified: n.ModifiedAt}
}

func (w walked) Node(ctx context.Context, id string) (n split.Node, err error) {
	err = w.request(ctx, func(ctx context.Context) error {
		found, err := w.nodes.Node(ctx, NodeID(id))
		n = splitNode(found)
		n.ID = id
		return err
	})
	return n, gone(err)
}

func (w walked) Children(ctx context.Context, id string, skip int) (page []split.Node, more bool, err error) {
	err = w.request(ctx, func(ctx context.Context) error {
		found, m, err := w.nodes.Children(ctx, NodeID(id), skip)
		page, more = make([]split.Node, len(found)), m
		for i, n := range found {
			page[i] = splitNode(n)
		}
		return err
	})
	if err == nil && w.looked != nil {
		l := Looked{Nodes: len(page)}
		if skip == 0 {
			l.Folders = 1
		}
		w.looked(l)
	}
	return page, more, gone(err)
}

func gone(err error) error {
	if isAny(err, ErrNotFound, ErrForbidden) {
		return fmt.Errorf("%w: %w", split.ErrGone, err)
	}
	return err
}

// request makes a request for an assembly. The server's state learns its outcome.
func (m *Manager) request(ctx context.Context, op string, id ID, do func(context.Context) error) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, m.requestTimeout())
	defer cancel()
	err := m.call(op, id, func() error { return do(limited) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.unlock()
	now := time.Now()
	if m.server.heard(err, began, now) {
		m.announceAll()
	}
	m.work.SetHold(m.server.holdUntil(now, len(m.waited) > 0))
	return err
}

// getParts is the goroutine of d's assembly.
func (m *Manager) getParts(ctx context.Context, d *Download) {
	wait := time.Second
	for ctx.Err() == nil {
		before := m.fetchedParts(d)
		if m.turns != nil && m.turns.Take(ctx, d.id, before > 0) != nil {
			return
		}
		err := m.call("parts", d.id, func() error { return m.tryParts(ctx, d) }) // it may panic
		if ctx.Err() != nil {
			return
		}
		if err == nil || m.assemblyFailed(d, err) {
			return
		}
		if isAny(err, errReplanned, errAgain) {
			continue
		}
		if m.fetchedParts(d) > before {
			wait = time.Second
		}
		if errors.Is(err, errPartLost) {
			wait = assemblyRest // otherwise the server would zip on and on
		}
		select {
		case <-ctx.Done():
		case <-time.After(jitter(wait)):
		case <-d.parts.nudge:
			_ = sleep(ctx, freshSpacing)
		}
		wait = min(2*wait, assemblySlowest)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// assemblyFailed takes in a failed try and reports whether the failure is for good.
func (m *Manager) assemblyFailed(d *Download, err error) bool {
	m.mu.Lock()
	defer m.unlock()
	a := d.parts
	m.logLater(slog.LevelDebug, "parts not fetched; trying again", "op", "parts", "download", d.id, "err", err)
	switch {
	case isAny(err, errReplanned, errAgain, ErrUnauthorized): // the server's state says so
		return false
	case isAny(err, errNoRoom):
		old := d.progress.Status
		a.err, d.progress.Status, d.changedAt = err, StatusTooLarge, time.Now()
		m.transition(d, old)
		return true
	case errors.Is(err, errPartLost):
		a.err = err
	case isAny(err, ErrUnavailable, ErrUncertain, ErrServerFailed, ErrProtocol):
		now := time.Now()
		if a.failingSince.IsZero() {
			a.failingSince = now
		}
		if now.Sub(a.failingSince) >= m.unreachableTimeout {
			a.err = a.failure(err)
		}
	case isAny(err, ErrForbidden, ErrInvalid, ErrNotFound) && !a.refused.confirmed(time.Now(), time.Time{}):
	default:
		a.err = err
	}
	d.announce()
	return false
}

// failure returns what waiters get after the tries have failed for too long, the last
// with err.
func (a *assembly) failure(err error) error {
	since := stamp(a.failingSince)
	if errors.Is(err, ErrProtocol) {
		return Because(ErrProtocol, "%s", withReason("the server has not given a valid answer about the next part since "+since, err))
	}
	return Because(ErrUnavailable, "%s", withReason("the server has not answered about the next part since "+since, err))
}

// onward takes in that d's assembly makes progress. m.mu is held.
func (d *Download) onward() {
	a := d.parts
	a.failingSince = time.Time{}
	a.refused.end()
	if a.err != nil {
		a.err = nil
		d.announce()
	}
}

func (m *Manager) fetchedParts(d *Download) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return d.partsProgress().Done
}

// partsProgress counts d's pieces. m.mu is held.
func (d *Download) partsProgress() (p PartsProgress) {
	if d.parts == nil {
		return p
	}
	if d.parts.pieces == nil {
		p.Looked = d.parts.looked
	}
	for _, q := range d.parts.pieces {
		if q.Kind == split.Folder {
			continue
		}
		p.Total++
		switch {
		case q.fetched:
			p.Done++
		case p.Running == 0 && q.serial != 0:
			p.Running = p.Total
		}
	}
	return p
}

// sumParts updates d's counters. m.mu is held.
func (d *Download) sumParts() {
	p := Progress{ID: d.id, Status: d.progress.Status}
	for _, q := range d.parts.pieces {
		bytes, files := q.Bytes, q.Files
		if q.progress.TotalBytes > 0 || q.fetched {
			bytes, files = q.progress.TotalBytes, q.progress.TotalFiles
		}
		p.TotalBytes, p.TotalFiles = p.TotalBytes+bytes, p.TotalFiles+files
		p.BytesAdded, p.FilesAdded = p.BytesAdded+q.progress.BytesAdded, p.FilesAdded+q.progress.FilesAdded
	}
	if p != d.progress {
		d.progress, d.changedAt = p, time.Now()
		d.m.change(d)
	}
}

// tryParts gets what is missing and then makes d DONE.
func (m *Manager) tryParts(ctx context.Context, d *Download) error {
	if err := m.planParts(ctx, d); err != nil {
		return err
	}
	if err := m.runParts(ctx, d); err != nil {
		return err
	}
	view, err := m.viewParts(ctx, d.parts)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.unlock()
	if d.removed || d.cancelled {
		return context.Canceled
	}
	d.sumParts()
	d.onward()
	old := d.progress.Status
	d.archive = &ArchiveInfo{ID: d.id, Name: d.parts.name, Size: view.Size(), ModifiedAt: time.Now().UTC().Truncate(time.Second)}
	d.progress.Status, d.changedAt = StatusDone, time.Now()
	m.transition(d, old)
	return nil
}

// removePart has a part's zip deleted on the server. m.mu is held.
func (m *Manager) removePart(id ID, serial uint64, cancel bool) *removal {
	r := m.newRemoval(id, serial, cancel, true)
	m.removals[id] = r
	m.work.Set(&r.task, time.Now(), schedule.Chore)
	return r
}

// awaitRemoval waits until the server no longer has the zip with that id. It does not
// wait long, since a refused deletion must not stop the rest.
func (m *Manager) awaitRemoval(ctx context.Context, id ID) {
	m.mu.Lock()
	r := m.removals[id]
	if r == nil {
		m.mu.Unlock()
		return
	}
	if r.done == nil {
		r.done = make(chan struct{})
	}
	done := r.done
	m.mu.Unlock()
	late := time.NewTimer(cancelGrace)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	case <-ctx.Done():
	}
}

// AwaitRemovals waits until the server has deleted all that it was told to delete. It
// does not wait long for a server that refuses, and no longer than ctx.
func (m *Manager) AwaitRemovals(ctx context.Context) {
	m.mu.Lock()
	ids := slices.Collect(maps.Keys(m.removals))
	m.mu.Unlock()
	for _, id := range ids {
		m.awaitRemoval(ctx, id)
	}
}
