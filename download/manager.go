package download

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
)

// Config is what a Manager needs.
type Config struct {
	Service Service
	// Nodes tells how large the requested nodes are; nil if that cannot be known.
	Nodes Nodes
	// PartSize is how much content the server is asked to zip at once. A larger
	// download is got in parts. 0 leaves the size to the server's own limit; negative
	// means that nothing is got in parts.
	PartSize int64
	// MaxFile is the largest file that the server is asked to zip; 0 means MaxZipEntry.
	MaxFile  int64
	Archives Archives
	// JournalPath is the file that remembers downloads across mounts. It is
	// created with mode 0600; its directory must exist.
	JournalPath string
	// StallTimeout is how long a download may stay without progress before its
	// waiters get ErrStalled. 0 means 10 minutes; negative, never.
	StallTimeout time.Duration
	// UnreachableTimeout is how long polls may fail before waiters get
	// ErrUnavailable. 0 means 2 minutes.
	UnreachableTimeout time.Duration
	// Turns says when this mount is to get a download in parts; nil: at once.
	Turns Turns
	// Prefetch fetches each archive whole when its download is DONE.
	Prefetch bool
	Logger   *slog.Logger
	// Ended, if not nil, is told of each download that becomes DONE, and of each that
	// fails or stalls. It is not told of what was cancelled or removed here. Many
	// goroutines call it. It must not block.
	Ended func(Snapshot)
}

// Manager creates, watches, cancels and removes downloads and remembers them in
// a journal. Its methods are safe for concurrent use.
//
// One lock, mu, guards everything in memory. It is held for moments only: never while
// the journal, the Service or Archives is called or a log record is written (see
// unlock). The locks of the journal's writer and the scheduler's loop are below it: a
// change to the journal may take mu, and the holder of mu may take the scheduler's
// lock, never the other way round.
type Manager struct {
	service            Service
	nodes              Nodes // may be nil
	partSize           int64
	maxFile            int64
	archives           Archives
	turns              Turns // may be nil
	log                *slog.Logger
	stallTimeout       time.Duration // 0: never
	unreachableTimeout time.Duration
	wantsPrefetch      bool
	ended              func(Snapshot) // may be nil

	journal *journal.Journal
	work    *schedule.Scheduler // polls and removals

	ctx     context.Context // of all work; ends with Close
	cancel  context.CancelFunc
	close   sync.Once
	closed  chan struct{} // closed when Close begins
	running sync.WaitGroup
	posts   chan struct{}   // a slot for each Create that asks the server
	posting context.Context // of those requests; ends after ctx (see finishPosts)
	abandon context.CancelFunc
	checks  chan struct{} // capacity 1: held while a part is unpacked
	unsaved chan struct{} // capacity 1: dirty is not empty

	mu       sync.Mutex // guards all below and each Download's state
	closing  bool
	list     []*Download // by serial
	byID     map[ID]*Download
	byAlias  map[string]*Download
	reserved map[ID]bool            // about to be listed
	removals map[ID]*removal        // still to be done on the server
	waited   map[*Download]struct{} // have waiters
	dirty    map[*Download]struct{} // changed since they were journaled
	opened   int                    // open archives, over all downloads
	server   serverState
	outcome  outcome
	unlogged []logRecord
	untold   []*Download // ended; see unlock
	changes  changes
}

type outcome struct {
	id  ID
	err error
}

const (
	maxPosts = 8 // Create requests at once
	// postGrace is how long Close waits for their answers.
	postGrace = 3 * time.Second
)

// Open reads the journal and starts watching what is not finished, without waiting for
// the server. It returns ErrLocked when another process has the journal, and ErrDamaged
// when the journal cannot be read.
func Open(cfg Config) (*Manager, error) {
	m := &Manager{
		service:            cfg.Service,
		nodes:              cfg.Nodes,
		partSize:           cfg.PartSize,
		maxFile:            cfg.MaxFile,
		archives:           cfg.Archives,
		turns:              cfg.Turns,
		log:                cfg.Logger,
		stallTimeout:       max(cfg.StallTimeout, 0),
		unreachableTimeout: cfg.UnreachableTimeout,
		wantsPrefetch:      cfg.Prefetch,
		ended:              cfg.Ended,
		work:               schedule.New(schedule.PollLimits),
		closed:             make(chan struct{}),
		posts:              make(chan struct{}, maxPosts),
		checks:             make(chan struct{}, 1),
		unsaved:            make(chan struct{}, 1),
		byID:               make(map[ID]*Download),
		byAlias:            make(map[string]*Download),
		reserved:           make(map[ID]bool),
		removals:           make(map[ID]*removal),
		waited:             make(map[*Download]struct{}),
		dirty:              make(map[*Download]struct{}),
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.maxFile <= 0 {
		m.maxFile = MaxZipEntry
	}
	if cfg.StallTimeout == 0 {
		m.stallTimeout = 10 * time.Minute
	}
	if m.unreachableTimeout <= 0 {
		m.unreachableTimeout = 2 * time.Minute
	}
	var err error
	if m.journal, err = journal.Open(cfg.JournalPath, m.log); err != nil {
		return nil, err
	}
	content, err := restore(m.journal, m.log)
	if err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.posting, m.abandon = context.WithCancel(context.Background())
	m.enlistRestored(content)
	m.running.Go(func() { m.work.Run(m.ctx) })
	m.running.Go(m.saver)
	return m, nil
}

// enlistRestored lists what the journal remembers. No goroutine runs before its end, when
// the downloads that come in parts go on: they look at the removals, too.
func (m *Manager) enlistRestored(content restored) {
	now := time.Now()
	var assemble []*Download
	for _, s := range content.downloads {
		d := m.remembered(s)
		m.insert(d)
		if d.parts != nil {
			m.pinParts(d)
			if s := d.progress.Status; s == StatusTooLarge || !s.Ended() {
				if s == StatusTooLarge { // the cache may be larger now
					d.progress.Status = StatusPending
				}
				assemble = append(assemble, d)
			}
		}
		switch {
		case d.settled:
		case d.progress.Status == StatusDone:
			// Has it expired meanwhile? The running ones are more urgent.
			m.work.Set(&d.watch.task, now.Add(time.Second), schedule.Rare)
		default:
			m.work.Set(&d.watch.task, now, schedule.Routine)
		}
	}
	for _, s := range content.removals {
		r := m.newRemoval(s.record.ID, s.serial, s.record.Cancel, s.record.Delete)
		r.of = m.byID[r.id]
		m.removals[r.id] = r
		m.work.Set(&r.task, now, schedule.Chore)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range assemble {
		m.startAssembly(d)
	}
}

// Close releases every waiter with ErrClosed, ends all work and closes the journal.
// Unfinished work goes on after the next Open. If the server has been asked for a
// download, Close gives it some seconds to answer, and journals the answer. Open
// handles keep working. Later calls wait for the first and return nil.
func (m *Manager) Close() (err error) {
	m.close.Do(func() {
		m.mu.Lock()
		m.closing = true
		m.mu.Unlock()
		close(m.closed)
		m.cancel()
		m.finishPosts()
		m.running.Wait()
		m.closePins()
		err = m.journal.Close()
	})
	return err
}

// finishPosts waits until nobody holds a slot any more, though not for long, and then
// ends the requests that are left. If the answer is not awaited, nobody would ever know
// of the download.
func (m *Manager) finishPosts() {
	defer m.abandon()
	late := time.NewTimer(postGrace)
	defer late.Stop()
	for range maxPosts {
		select {
		case m.posts <- struct{}{}:
		case <-late.C:
			return
		}
	}
}

// start runs f as a goroutine that Close waits for, unless Close has begun.
func (m *Manager) start(f func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return errUnmounting
	}
	m.running.Go(f)
	return nil
}

// Downloads returns all downloads, oldest first. It makes no request.
func (m *Manager) Downloads() []*Download {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

// Lookup returns the download whose directory is called name.
func (m *Manager) Lookup(name string) (*Download, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lookup(name)
}

func (m *Manager) lookup(name string) (*Download, bool) {
	if d, ok := m.byAlias[name]; ok {
		return d, true
	}
	if d, ok := m.byID[ID(name)]; ok && d.alias == "" {
		return d, true
	}
	return nil, false
}

// Find returns the download of this id, whatever it is called.
func (m *Manager) Find(id ID) (*Download, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.byID[id]
	return d, ok
}

// Lists reports whether the download of this id is in the list.
func (m *Manager) Lists(id ID) bool {
	_, ok := m.Find(id)
	return ok
}

// Usage returns the cache's size and use.
func (m *Manager) Usage() Usage { return m.archives.Usage() }

func (m *Manager) newDownload(id ID, nodes []NodeID) *Download {
	d := &Download{m: m, id: id, nodes: nodes}
	d.watch.task.Run = func() { m.poll(d) }
	return d
}

// insert lists d. m.mu is held, or no goroutine runs yet.
func (m *Manager) insert(d *Download) {
	at, _ := slices.BinarySearchFunc(m.list, d.serial, bySerial)
	m.list = slices.Insert(m.list, at, d)
	m.byID[d.id] = d
	if d.alias != "" {
		m.byAlias[d.alias] = d
	}
}

func bySerial(d *Download, serial uint64) int {
	switch {
	case d.serial < serial:
		return -1
	case d.serial > serial:
		return 1
	}
	return 0
}

// reserve keeps id for a download that is about to be listed.
func (m *Manager) reserve(id ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.byID[id] != nil || m.reserved[id]:
		return fmt.Errorf("download %s: %w", id, ErrExists)
	case m.byAlias[string(id)] != nil:
		return fmt.Errorf("another download is called %s: %w", id, ErrExists)
	case m.removals[id] != nil:
		return fmt.Errorf("download %s is being deleted: %w", id, ErrNotFound)
	}
	m.reserved[id] = true
	return nil
}

func (m *Manager) unreserve(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reserved, id)
}

// enlist journals a reserved download and then lists it.
func (m *Manager) enlist(d *Download) error {
	var serial uint64
	rec := d.record() // nobody else knows d yet
	err := m.journal.Update(func(tx journal.Tx) (err error) {
		if serial, err = tx.NextSerial(); err != nil {
			return err
		}
		if len(d.nodes) > 0 {
			if err := tx.Put(journal.Nodes, serial, nodesRecord{recordVersion, d.nodes}); err != nil {
				return err
			}
		}
		return tx.Put(journal.Downloads, serial, rec)
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d.serial = serial
	m.insert(d)
	m.change(d)
	delete(m.reserved, d.id)
	d.watch.forecast.Start(time.Now(), &m.server.pace)
	d.watch.quietSince = m.server.alive
	m.schedule(d)
	return nil
}
