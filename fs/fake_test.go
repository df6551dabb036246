package fs

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"downloadfs/download"
)

// fakeDomain is a domain whose downloads end when the test says so.
type fakeDomain struct {
	mu      sync.Mutex
	items   []*fakeItem
	names   map[string]*fakeItem
	serial  uint64
	lists   []download.List // those that Create was asked for
	create  func(context.Context, download.List) error
	adopt   func(download.ID) error
	lastID  download.ID
	lastErr error
	usage   func() download.Usage
}

// script changes what the domain answers.
func (f *fakeDomain) script(change func(*fakeDomain)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func newFakeDomain() *fakeDomain { return &fakeDomain{names: make(map[string]*fakeItem)} }

// fakeItem is a download of a fakeDomain.
type fakeItem struct {
	domain *fakeDomain
	id     download.ID
	serial uint64
	nodes  []download.NodeID

	snapshot download.Snapshot // guarded by domain.mu
	changed  chan struct{}     // closed when snapshot changes
	waiters  int
	looks    int
	file     *os.File // the archive's bytes
	local    bool     // File offers them
	onRead   func(ctx context.Context, off int64) error
}

func (f *fakeDomain) Downloads() []item {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]item, len(f.items))
	for i, d := range f.items {
		out[i] = d
	}
	return out
}

func (f *fakeDomain) Lookup(name string) (item, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.names[name]
	return d, ok
}

func (f *fakeDomain) Find(id download.ID) (item, bool) {
	d := f.find(id)
	return d, d != nil
}

func (f *fakeDomain) find(id download.ID) *fakeItem {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.items {
		if d.id == id {
			return d
		}
	}
	return nil
}

func (f *fakeDomain) Create(ctx context.Context, l download.List) (item, error) {
	f.mu.Lock()
	create := f.create
	f.mu.Unlock()
	if create != nil {
		if err := create(ctx, l); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.lastID, f.lastErr = "", err
			return nil, err
		}
	}
	var nodes []download.NodeID
	for _, e := range l.Entries {
		nodes = append(nodes, e.Node)
	}
	f.mu.Lock()
	f.lists = append(f.lists, l)
	f.mu.Unlock()
	return f.add(download.ID(fmt.Sprintf("d%d", f.next())), nodes), nil
}

func (f *fakeDomain) next() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int(f.serial) + 1
}

// add makes a pending download.
func (f *fakeDomain) add(id download.ID, nodes []download.NodeID) *fakeItem {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	d := &fakeItem{domain: f, id: id, serial: f.serial, nodes: nodes, changed: make(chan struct{})}
	d.snapshot = download.Snapshot{
		Progress:  download.Progress{ID: id, Status: download.StatusPending},
		Name:      string(id),
		CreatedAt: time.Now(),
		ChangedAt: time.Now(),
	}
	f.items = append(f.items, d)
	f.names[string(id)] = d
	f.lastID, f.lastErr = id, nil
	return d
}

func (f *fakeDomain) LastOutcome() (download.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastID, f.lastErr
}

// Adopt goes on when ctx ends first.
func (f *fakeDomain) Adopt(ctx context.Context, id download.ID) (item, error) {
	f.mu.Lock()
	adopt := f.adopt
	f.mu.Unlock()
	type result struct {
		d   item
		err error
	}
	done := make(chan result, 1)
	go func() {
		if adopt != nil {
			if err := adopt(id); err != nil {
				done <- result{err: err}
				return
			}
		}
		done <- result{d: f.add(id, nil)}
	}()
	select {
	case r := <-done:
		return r.d, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeDomain) Rename(d item, name string) error {
	switch {
	case strings.HasPrefix(name, "."), name == download.ControlFile, isUUID(name):
		return fmt.Errorf("rename %s: %w", d.ID(), download.ErrName)
	case !utf8.ValidString(name):
		return fmt.Errorf("rename %s: %w", d.ID(), download.ErrNameText)
	}
	if _, taken := f.Lookup(name); taken {
		return fmt.Errorf("rename %s: %w", d.ID(), download.ErrExists)
	}
	it := d.(*fakeItem)
	it.set(func(s *download.Snapshot) {
		delete(f.names, s.Name)
		s.Name = name
		f.names[name] = it
	})
	return nil
}

func (f *fakeDomain) Discard(d item) error {
	d.(*fakeItem).set(func(s *download.Snapshot) {
		if !s.Status.Ended() {
			s.Status, s.Err = download.StatusCancelled, download.ErrCancelled
		}
	})
	return nil
}

func (f *fakeDomain) Remove(d item) error {
	it := d.(*fakeItem)
	f.mu.Lock()
	f.items = slices.DeleteFunc(f.items, func(o *fakeItem) bool { return o == it })
	delete(f.names, it.snapshot.Name)
	f.mu.Unlock()
	it.set(func(s *download.Snapshot) {
		s.Status, s.Ready, s.Err = download.StatusCancelled, false, download.ErrCancelled
	})
	return nil
}

func (f *fakeDomain) OpenArchive(d item) (download.Archive, error) {
	it := d.(*fakeItem)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch s := it.snapshot; {
	case s.Ready:
		return &fakeArchive{it}, nil
	case s.Err != nil:
		return nil, s.Err
	}
	return nil, download.ErrNotReady
}

func (f *fakeDomain) Usage() download.Usage {
	f.mu.Lock()
	usage := f.usage
	f.mu.Unlock()
	if usage != nil {
		return usage()
	}
	return download.Usage{Limit: 1 << 30, Used: 1 << 20, Free: 1 << 29}
}

// Changes never reports any: these tests announce nothing.
func (f *fakeDomain) Changes() ([]item, <-chan struct{}) { return nil, nil }

func (d *fakeItem) ID() download.ID            { return d.id }
func (d *fakeItem) Serial() uint64             { return d.serial }
func (d *fakeItem) NodeIDs() []download.NodeID { return d.nodes }

func (d *fakeItem) Snapshot() download.Snapshot {
	d.domain.mu.Lock()
	defer d.domain.mu.Unlock()
	return d.snapshot
}

func (d *fakeItem) Look() {
	d.domain.mu.Lock()
	defer d.domain.mu.Unlock()
	d.looks++
}

// set changes the state and tells the waiters.
func (d *fakeItem) set(change func(*download.Snapshot)) {
	d.domain.mu.Lock()
	defer d.domain.mu.Unlock()
	change(&d.snapshot)
	d.snapshot.ChangedAt = time.Now()
	close(d.changed)
	d.changed = make(chan struct{})
}

// finish makes the download DONE with the bytes of file as its archive.
func (d *fakeItem) finish(file *os.File, local bool) {
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	d.set(func(s *download.Snapshot) {
		d.file, d.local = file, local
		s.Status, s.Ready = download.StatusDone, true
		s.Archive = download.ArchiveInfo{ID: d.id, Name: "archive.zip", Size: info.Size(), ModifiedAt: time.Now()}
	})
}

func (d *fakeItem) Wait(ctx context.Context) error {
	d.domain.mu.Lock()
	d.waiters++
	d.domain.mu.Unlock()
	defer func() {
		d.domain.mu.Lock()
		d.waiters--
		d.domain.mu.Unlock()
	}()
	for {
		d.domain.mu.Lock()
		s, changed := d.snapshot, d.changed
		d.domain.mu.Unlock()
		if s.Ready {
			return nil
		}
		if s.Err != nil {
			return s.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waiting returns how many callers are blocked in Wait.
func (d *fakeItem) waiting() int {
	d.domain.mu.Lock()
	defer d.domain.mu.Unlock()
	return d.waiters
}

type fakeArchive struct{ d *fakeItem }

func (a *fakeArchive) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	a.d.domain.mu.Lock()
	onRead := a.d.onRead
	a.d.domain.mu.Unlock()
	if onRead != nil {
		if err := onRead(ctx, off); err != nil {
			return 0, err
		}
	}
	n, err := a.d.file.ReadAt(p, off)
	if err == io.EOF && n == len(p) {
		err = nil
	}
	return n, err
}

func (a *fakeArchive) File(int64, int64) (*os.File, bool) {
	a.d.domain.mu.Lock()
	defer a.d.domain.mu.Unlock()
	return a.d.file, a.d.local
}

func (a *fakeArchive) Close() error { return nil }
