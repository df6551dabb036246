package fs

import (
	"cmp"
	"context"
	"maps"
	"math"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

// The kernel tells inotify and fanotify only of changes that a program makes through
// it. A download comes, makes progress and ends without that. So a child process makes
// a harmless change at the same place, which only it may make: it makes the directory
// that is there already, or sets times that stay as they are. docs/announcing.md says
// why it is done so.
//
// This process must not do it itself: it could wait for its own answer, and a kill -9
// could not end it then. For the same reason it sends the kernel no notification that
// takes the lock of a directory.

const (
	// gathering is how long an announcement waits for others.
	gathering = 100 * time.Millisecond
	// childIdle is how long the child stays without work.
	childIdle = time.Minute
	// childRetry is how long no child is started after one has failed.
	childRetry = time.Minute
	// unseenWatch is how long callers whose descriptors cannot be seen count as
	// watching after one of them has opened a directory.
	unseenWatch = 10 * time.Minute
)

// changeKind is what the child does.
type changeKind string

const (
	changeLink   changeKind = "link"   // IN_CREATE, of another name for Name
	changeMkdir  changeKind = "mkdir"  // a watcher of dir sees IN_CREATE
	changeRename changeKind = "rename" // IN_MOVED_FROM and IN_MOVED_TO
	changeRmdir  changeKind = "rmdir"  // IN_DELETE
	changeUnlink changeKind = "unlink" // IN_DELETE
	changeTimes  changeKind = "times"  // IN_ATTRIB
	changeMTime  changeKind = "mtime"  // IN_MODIFY
)

// change is one change that the child makes in the mount.
type change struct {
	Kind changeKind `json:"kind"`
	Dir  string     `json:"dir"` // below the mountpoint
	Name string     `json:"name"`
	To   string     `json:"to,omitempty"` // the new name, of a rename or link

	item item      // of a rename in downloads/, or rmdir
	drop *dropNode // of an unlink
}

// announcer announces what happens in the mount to those who watch it. A nil announcer
// does nothing.
type announcer struct {
	fs      *filesystem
	command func() *exec.Cmd
	mount   string
	root    bool // root sees the descriptors of all users

	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{} // closed when nothing is announced any more
	woken   chan struct{} // capacity 1
	child   atomic.Pointer[announceChild]
	broken  time.Time // when a child failed
	scanned scan

	pid     atomic.Int64           // of the child, 0 while there is none
	current atomic.Pointer[change] // the change that the child makes now

	mu      sync.Mutex // guards what follows
	shown   map[uint64]shown
	removed map[uint64]bool      // downloads that a caller removes through the kernel
	leaving map[string]*dropNode // views may still show them
	unseen  time.Time            // when a caller that cannot be seen last opened a directory
}

// shown is what watchers know of a download.
type shown struct {
	name   string
	status download.Status
	step   int
	other  string // the archive's other name
}

// start announces what happens from now on.
func (a *announcer) start() {
	if a == nil {
		return
	}
	a.fs.domain.Changes() // begin to collect them
	for _, d := range a.fs.domain.Downloads() {
		a.shown[d.Serial()] = newShown(d.Snapshot())
	}
	go func() {
		defer close(a.done)
		defer a.endChild()
		defer a.fs.recovered("announce")
		a.run()
	}()
}

// close ends the announcements. It does not wait for long: a child that waits for the
// lock of a directory ends when it gets the lock.
func (a *announcer) close() {
	if a == nil {
		return
	}
	const patience = time.Second
	a.stop()
	if child := a.child.Load(); child != nil {
		child.kill()
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-a.done:
	case <-late.C:
	}
}

// wait waits for the end of the announcements, after the mount is gone.
func (a *announcer) wait() {
	if a != nil {
		a.close()
		<-a.done
	}
}

func (a *announcer) run() {
	for a.ctx.Err() == nil {
		changed, more := a.fs.domain.Changes()
		gone, later := a.gone()
		if len(changed) == 0 && len(gone) == 0 {
			a.sleep(more, later)
			a.pause(gathering)
			continue
		}
		changed = slices.DeleteFunc(changed, func(d item) bool { return !a.news(d) })
		if len(changed) == 0 && len(gone) == 0 {
			continue // do not look who watches
		}
		w := a.watched()
		for _, d := range changed {
			a.tell(d, w)
		}
		for name, d := range gone {
			a.tellGone(name, d, w)
		}
	}
}

// sleep waits until there may be something to announce. It ends a child that has had
// nothing to do for a while.
func (a *announcer) sleep(more <-chan struct{}, later <-chan time.Time) {
	var idle <-chan time.Time
	if a.child.Load() != nil {
		idle = time.After(childIdle)
	}
	select {
	case <-a.ctx.Done():
	case <-more:
	case <-a.woken:
	case <-later:
	case <-idle:
		a.endChild()
	}
}

func (a *announcer) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-a.ctx.Done():
	case <-timer.C:
	}
}

// listed reports whether a download is still there.
func (a *announcer) listed(d item) bool {
	here, ok := a.fs.domain.Lookup(d.Snapshot().Name)
	return ok && here.Serial() == d.Serial()
}

// news reports whether watchers know a download otherwise than it is.
func (a *announcer) news(d item) bool {
	listed := a.listed(d)
	a.mu.Lock()
	defer a.mu.Unlock()
	before, known := a.shown[d.Serial()]
	if !listed {
		byKernel := a.removed[d.Serial()] // which tells watchers itself
		if byKernel {
			delete(a.shown, d.Serial())
			delete(a.removed, d.Serial())
		}
		return known && !byKernel
	}
	return !known || before != newShown(d.Snapshot())
}

// tell announces how a download differs from what watchers know of it.
func (a *announcer) tell(d item, w watchers) {
	if !a.news(d) {
		return
	}
	listed := a.listed(d)
	serial, now := d.Serial(), newShown(d.Snapshot())
	a.mu.Lock()
	before, known := a.shown[serial]
	if a.shown[serial] = now; !listed {
		delete(a.shown, serial)
	}
	a.mu.Unlock()
	if !listed {
		if _, taken := a.fs.domain.Lookup(before.name); !taken && w.watches(inoDownloads) {
			a.make(&change{Kind: changeRmdir, Dir: downloadsName, Name: before.name, item: d})
		}
		return
	}
	for _, c := range differences(d, before, known, now, w) {
		a.make(c)
	}
}

// differences returns the changes that tell watchers how a listed download differs from
// what they know, if they know it.
func differences(d item, before shown, known bool, now shown, w watchers) (changes []*change) {
	add := func(c *change) { changes = append(changes, c) }
	serial := d.Serial()
	if !known {
		if w.watches(inoDownloads) {
			add(&change{Kind: changeMkdir, Dir: downloadsName, Name: now.name})
		}
		if !w.watchesEntry(serial) {
			return changes
		}
		before = shown{name: now.name, status: download.StatusPending} // as it was when they came
	}
	if before.name != now.name && w.watches(inoDownloads) {
		add(&change{Kind: changeRename, Dir: downloadsName, Name: before.name, To: now.name, item: d})
	}
	if before.status == now.status && before.step == now.step {
		return changes
	}
	if w.watchesEntry(serial) {
		dir := downloadsName + "/" + now.name
		add(&change{Kind: changeMTime, Dir: dir, Name: statusName})
		add(&change{Kind: changeMTime, Dir: dir, Name: statusJSONName})
		if before.other != now.other && w.desktopsOnly(serial) {
			// Their views list the archive under one name. A view that looks at the old
			// name meanwhile, because its times are new, would find it and keep it.
			add(&change{Kind: changeRename, Dir: dir, Name: cmp.Or(before.other, archiveName), To: cmp.Or(now.other, archiveName)})
		} else {
			add(&change{Kind: changeTimes, Dir: dir, Name: archiveName})
			if before.other == "" && now.other != "" {
				add(&change{Kind: changeLink, Dir: dir, Name: archiveName, To: now.other})
			}
		}
	}
	if before.status != now.status && w.watches(inoDownloads) {
		add(&change{Kind: changeTimes, Dir: downloadsName, Name: now.name})
	}
	return changes
}

// tellGone announces that a dropped file is gone. The program that dropped it still
// finds it for a while, unless the download has taken its name.
func (a *announcer) tellGone(name string, d *dropNode, w watchers) {
	_, taken := a.fs.domain.Lookup(name)
	if taken || d.over() {
		d.drops.remove(name, d)
	}
	other := d.drops.at(name)
	switch {
	case !w.watches(inoDownloads) || other != nil && other != d:
	case taken:
		a.make(&change{Kind: changeTimes, Dir: downloadsName, Name: name})
	default:
		a.make(&change{Kind: changeUnlink, Dir: downloadsName, Name: name, drop: d})
	}
}

// newShown returns what watchers are to know. Progress is told in tenths.
func newShown(s download.Snapshot) shown {
	out := shown{name: s.Name, status: s.Status, other: serverName(s)}
	if s.TotalBytes > 0 {
		const steps = 10
		out.step = int(min(float64(s.BytesAdded)/float64(s.TotalBytes), 1) * steps)
	}
	return out
}

// knows notes what a caller has just changed through the kernel, which tells watchers
// itself.
func (a *announcer) knows(d item) {
	if a == nil {
		return
	}
	s := d.Snapshot()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := newShown(s)
	if before, known := a.shown[d.Serial()]; known {
		now.status, now.step, now.other = before.status, before.step, before.other
	}
	a.shown[d.Serial()] = now
}

// removes notes that a caller is about to remove a download through the kernel. You must
// call the function returned if it stays.
func (a *announcer) removes(d item) (stays func()) {
	if a == nil {
		return func() {}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.removed[d.Serial()] = true
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.removed, d.Serial())
	}
}

// leaves notes that views may show a dropped file that will be gone by itself. A file
// in the place of the control file is the control file for everybody.
func (a *announcer) leaves(name string, d *dropNode) {
	if a == nil || name == download.ControlFile {
		return
	}
	a.mu.Lock()
	a.leaving[name] = d
	a.mu.Unlock()
	a.wake()
}

// left notes that no file has this name any more, which the kernel tells watchers
// itself.
func (a *announcer) left(name string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.leaving, name)
}

func (a *announcer) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// gone returns the dropped files that are gone by now, and forgets them. It returns
// when to look again, or nil if there is nothing to look for.
func (a *announcer) gone() (map[string]*dropNode, <-chan time.Time) {
	a.mu.Lock()
	leaving := maps.Clone(a.leaving)
	a.mu.Unlock()
	next := time.Duration(math.MaxInt64)
	for name, d := range leaving {
		if at, ok := d.leavesAt(); !ok || time.Until(at) > 0 {
			delete(leaving, name)
			if ok {
				next = min(next, time.Until(at))
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, d := range leaving {
		if a.leaving[name] == d {
			delete(a.leaving, name)
		}
	}
	if next == math.MaxInt64 {
		return leaving, nil
	}
	return leaving, time.After(next)
}

// opened notes that the caller opened a directory, which a program does that is going
// to watch it. It matters only if its descriptors cannot be seen.
func (a *announcer) opened(ctx context.Context) {
	if a == nil || callerPID(ctx) != 0 && (a.root || a.fs.mine(ctx)) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unseen = time.Now()
}

// making returns the change that the caller makes if it is the child, or nil. No user
// can make that change: the kernel tells who the caller is, and its process id belongs
// to the child until this process has waited for it.
func (a *announcer) making(ctx context.Context) *change {
	if a == nil {
		return nil
	}
	if pid := callerPID(ctx); pid == 0 || int64(pid) != a.pid.Load() {
		return nil
	}
	if c := a.current.Load(); c != nil {
		return c
	}
	return &change{} // it makes nothing
}

// make has the child make a change. Failures are of no consequence: views show it when
// they are refreshed.
func (a *announcer) make(c *change) {
	child := a.child.Load()
	if a.ctx.Err() != nil || child == nil && time.Since(a.broken) < childRetry {
		return
	}
	if child == nil {
		var err error
		if child, err = startAnnounceChild(a); err != nil {
			a.fs.log.Debug("changes are not announced", "op", "announce", "err", err)
			a.broken = time.Now()
			return
		}
	}
	a.current.Store(c)
	err := child.make(c)
	a.current.Store(nil)
	switch {
	case a.ctx.Err() != nil:
	case child.failed():
		a.fs.log.Debug("changes are not announced", "op", "announce", "err", err)
		a.endChild()
		a.broken = time.Now()
	case err != nil:
		a.fs.log.Debug("a change was not announced", "op", "announce", "name", c.Name, "err", err)
	}
}

// endChild ends the child, if there is one, and waits for its end.
func (a *announcer) endChild() {
	if child := a.child.Swap(nil); child != nil {
		child.end()
	}
}
