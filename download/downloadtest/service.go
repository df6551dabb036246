// Package downloadtest holds what tests of downloads need: a scripted content server,
// archives in memory, and the suite that every download.Service must pass.
package downloadtest

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"downloadfs/download"
)

// Plan says how the server treats one download. Everything is computed from the clock
// when the server is asked, so a fake needs no goroutine and works in virtual time. The
// zero Plan is DONE at once.
type Plan struct {
	// Pending is how long it is PENDING before it is IN_PROGRESS.
	Pending time.Duration
	// Zipping is how long it is IN_PROGRESS while bytes are added.
	Zipping time.Duration
	// Tail is how long it is IN_PROGRESS after all bytes have been added.
	Tail time.Duration
	// Bytes and Files are the totals; 0 means 1000 bytes and one file for each node
	// asked for.
	Bytes, Files int64
	// Step is how far BytesAdded moves at once, as the real server moves it every 10
	// MB; 0 means continuously.
	Step int64
	// FailAfter stops all progress this long after the start without a word, as
	// the real server does when zipping fails; 0 means never.
	FailAfter time.Duration
	// Limit, if over 0, makes it MAX_CONTENT_SIZE_EXCEEDED when Bytes are more.
	Limit int64
	// CancelAfter is how long a cancelling takes to have effect.
	CancelAfter time.Duration
	// Name is the zip's file name. If empty, it is the name of the only node if the
	// server knows it, and archive.zip otherwise.
	Name string
}

// Call is one request that a Service got.
type Call struct {
	Op string // Check, Create, Get, Cancel, Delete, Archive, Resolve, Stream
	ID download.ID
	At time.Time
}

// Service is a content server in memory that does what it is told. Its methods
// are safe for concurrent use.
type Service struct {
	mu        sync.Mutex // guards all below
	latency   time.Duration
	intercept Interceptor
	newID     func() string
	plan      Plan
	planOf    map[download.NodeID]Plan
	nodes     map[download.NodeID]*node
	paths     map[string]download.NodeID
	downloads map[download.ID]*zipping
	calls     []Call
	byOp      map[string]int
	peak      int
	now       int
}

// Interceptor is called before a request is answered. If it returns an error, that is
// the answer. It may block until ctx ends, and may panic.
type Interceptor func(ctx context.Context, op string, id download.ID) error

type node struct {
	name      string
	data      []byte
	forbidden bool
}

// zipping is a download as the server sees it.
type zipping struct {
	plan      Plan
	nodes     []download.NodeID
	began     time.Time
	cancelled time.Time // when cancelling was requested
	archive   []byte
}

var (
	_ download.Service = (*Service)(nil)
	_ download.Source  = (*Service)(nil)
)

// NewService returns a server without nodes on which every UUID is a node.
func NewService() *Service {
	return &Service{
		planOf:    make(map[download.NodeID]Plan),
		nodes:     make(map[download.NodeID]*node),
		paths:     make(map[string]download.NodeID),
		downloads: make(map[download.ID]*zipping),
		byOp:      make(map[string]int),
	}
}

// SetLatency sets how long each request takes from now on.
func (s *Service) SetLatency(latency time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

// Intercept has f called before each request is answered, until another f takes its
// place; nil means none.
func (s *Service) Intercept(f Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// SetNewID sets the function that makes the ids of new downloads; by default they are
// UUIDs.
func (s *Service) SetNewID(f func() string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newID = f
}

// AddFile adds a node at a path. A Service with nodes knows no others.
func (s *Service) AddFile(path string, data []byte) download.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := download.NodeID(uuid.NewString())
	s.nodes[id] = &node{name: path[1+bytes.LastIndexByte([]byte(path), '/'):], data: data}
	s.paths[path] = id
	return id
}

// Forbid makes a node unreadable.
func (s *Service) Forbid(id download.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[id].forbidden = true
}

// SetPlan sets how downloads created from now on go.
func (s *Service) SetPlan(p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = p
}

// SetPlanOf sets how downloads go whose first node is id.
func (s *Service) SetPlanOf(id download.NodeID, p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planOf[id] = p
}

// AddDownload makes a download that nobody asked for through this Service.
func (s *Service) AddDownload(p Plan, nodes ...download.NodeID) download.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := download.ID(uuid.NewString())
	s.downloads[id] = &zipping{plan: p, nodes: nodes, began: time.Now()}
	return id
}

// Replan changes the plan of a download from now on, as if it had just begun.
func (s *Service) Replan(id download.ID, p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.downloads[id]
	z.plan, z.began = p, time.Now()
}

// Expire deletes a download, as the server's cleaner does.
func (s *Service) Expire(id download.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.downloads, id)
}

// Has reports whether the server has the download, and its progress.
func (s *Service) Has(id download.ID) (download.Progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.downloads[id]
	if z == nil {
		return download.Progress{}, false
	}
	return z.progress(id, time.Now()), true
}

// DownloadIDs returns the downloads that the server has.
func (s *Service) DownloadIDs() []download.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []download.ID
	for id := range s.downloads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Calls returns the requests so far; only those of one op if it is not empty.
func (s *Service) Calls(op string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, c := range s.calls {
		if op == "" || c.Op == op {
			calls = append(calls, c)
		}
	}
	return calls
}

// Count returns how many requests of one op there were.
func (s *Service) Count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byOp[op]
}

// Peak returns the largest number of requests at once.
func (s *Service) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// enter counts a request and does what all requests have in common.
func (s *Service) enter(ctx context.Context, op string, id download.ID) error {
	s.mu.Lock()
	s.calls = append(s.calls, Call{op, id, time.Now()})
	s.byOp[op]++
	s.now++
	s.peak = max(s.peak, s.now)
	latency, intercept := s.latency, s.intercept
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if intercept != nil {
		return intercept(ctx, op, id)
	}
	return nil
}

// find returns the download. s.mu is held.
func (s *Service) find(op string, id download.ID) (*zipping, error) {
	if z := s.downloads[id]; z != nil {
		return z, nil
	}
	if s.nodes[download.NodeID(id)] != nil {
		return nil, fmt.Errorf("%s %s: %w", op, id, download.ErrInvalid)
	}
	return nil, fmt.Errorf("%s %s: %w", op, id, download.ErrNotFound)
}

// Check implements download.Service.
func (s *Service) Check(ctx context.Context) error { return s.enter(ctx, "Check", "") }

// Create implements download.Service. It checks in the order of the real server.
func (s *Service) Create(ctx context.Context, nodes []download.NodeID) (download.Progress, error) {
	if err := s.enter(ctx, "Create", ""); err != nil {
		return download.Progress{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(nodes) == 0 {
		return download.Progress{}, fmt.Errorf("create: no nodes: %w", download.ErrInvalid)
	}
	for i, n := range nodes {
		if slices.Contains(nodes[:i], n) {
			return download.Progress{}, fmt.Errorf("create: %s twice: %w", n, download.ErrInvalid)
		}
	}
	if len(s.nodes) > 0 {
		for _, n := range nodes {
			if s.nodes[n] == nil {
				return download.Progress{}, fmt.Errorf("create: node %s: %w", n, download.ErrNotFound)
			}
		}
		for _, n := range nodes {
			if s.nodes[n].forbidden {
				return download.Progress{}, fmt.Errorf("create: node %s: %w", n, download.ErrForbidden)
			}
		}
	}
	id := download.ID(uuid.NewString())
	if s.newID != nil {
		id = download.ID(s.newID())
	}
	plan, ok := s.planOf[nodes[0]]
	if !ok {
		plan = s.plan
	}
	if n := s.nodes[nodes[0]]; n != nil && len(nodes) == 1 && plan.Name == "" {
		plan.Name = n.name + ".zip"
	}
	s.downloads[id] = &zipping{plan: plan, nodes: slices.Clone(nodes), began: time.Now()}
	return download.Progress{ID: id, Status: download.StatusPending}, nil
}

// Get implements download.Service.
func (s *Service) Get(ctx context.Context, id download.ID) (download.Progress, error) {
	if err := s.enter(ctx, "Get", id); err != nil {
		return download.Progress{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	z, err := s.find("get", id)
	if err != nil {
		return download.Progress{}, err
	}
	return z.progress(id, time.Now()), nil
}

// Cancel implements download.Service.
func (s *Service) Cancel(ctx context.Context, id download.ID) error {
	if err := s.enter(ctx, "Cancel", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	z, err := s.find("cancel", id)
	if err != nil {
		return err
	}
	if z.cancelled.IsZero() {
		z.cancelled = time.Now()
	}
	return nil
}

// Delete implements download.Service.
func (s *Service) Delete(ctx context.Context, id download.ID) error {
	if err := s.enter(ctx, "Delete", id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find("delete", id); err != nil {
		return err
	}
	delete(s.downloads, id)
	return nil
}

// Archive implements download.Service.
func (s *Service) Archive(ctx context.Context, id download.ID) (download.ArchiveInfo, error) {
	if err := s.enter(ctx, "Archive", id); err != nil {
		return download.ArchiveInfo{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	z, err := s.find("describe", id)
	if err != nil {
		return download.ArchiveInfo{}, err
	}
	if z.progress(id, time.Now()).Status != download.StatusDone {
		return download.ArchiveInfo{}, fmt.Errorf("describe %s: %w", id, download.ErrNotReady)
	}
	name := z.plan.Name
	if name == "" {
		name = "archive.zip"
	}
	return download.ArchiveInfo{ID: id, Name: name, Size: int64(len(s.zip(z))), ModifiedAt: z.doneAt()}, nil
}

// Resolve implements download.Service.
func (s *Service) Resolve(ctx context.Context, path string) (download.NodeID, error) {
	if err := s.enter(ctx, "Resolve", ""); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.paths[path]
	if !ok || s.nodes[id].forbidden {
		return "", fmt.Errorf("resolve %s: %w", path, download.ErrNotFound)
	}
	return id, nil
}

// Stream implements download.Source.
func (s *Service) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	if err := s.enter(ctx, "Stream", a.ID); err != nil {
		return nil, err
	}
	data, ok := s.Content(a.ID)
	if !ok || int64(len(data)) < end {
		return nil, fmt.Errorf("stream %s: %w", a.ID, download.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(data[off:end])), nil
}

// Content returns the bytes of a DONE download's zip.
func (s *Service) Content(id download.ID) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	z := s.downloads[id]
	if z == nil || z.progress(id, time.Now()).Status != download.StatusDone {
		return nil, false
	}
	return s.zip(z), true
}

// zip makes the archive once. s.mu is held.
func (s *Service) zip(z *zipping) []byte {
	if z.archive != nil {
		return z.archive
	}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, id := range z.nodes {
		name, data := string(id)+".txt", []byte("content of "+id+"\n")
		if n := s.nodes[id]; n != nil {
			name, data = n.name, n.data
		}
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	z.archive = buf.Bytes()
	return z.archive
}

func (z *zipping) doneAt() time.Time {
	return z.began.Add(z.plan.Pending + z.plan.Zipping + z.plan.Tail)
}

// progress returns what the server says of z at now.
func (z *zipping) progress(id download.ID, now time.Time) download.Progress {
	p := download.Progress{ID: id, Status: download.StatusPending}
	bytes, files := z.plan.Bytes, z.plan.Files
	if files == 0 {
		files = max(int64(len(z.nodes)), 1)
	}
	if bytes == 0 {
		bytes = 1000 * files
	}
	stopped := false
	if !z.cancelled.IsZero() {
		if at := z.cancelled.Add(z.plan.CancelAfter); !now.Before(at) && at.Before(z.doneAt()) {
			now, stopped = at, true
		}
	}
	at := now.Sub(z.began)
	if z.plan.FailAfter > 0 {
		at = min(at, z.plan.FailAfter)
	}
	if z.plan.Limit > 0 && bytes > z.plan.Limit && at >= z.plan.Pending {
		p.Status, p.BytesAdded, p.TotalBytes, p.TotalFiles = download.StatusTooLarge, z.plan.Limit, bytes, files
		return p
	}
	if zipped := at - z.plan.Pending; zipped >= 0 {
		p.Status, p.TotalBytes, p.TotalFiles = download.StatusInProgress, bytes, files
		if zipped >= z.plan.Zipping {
			p.BytesAdded, p.FilesAdded = bytes, files
			if zipped >= z.plan.Zipping+z.plan.Tail {
				p.Status = download.StatusDone
			}
		} else {
			part := float64(zipped) / float64(z.plan.Zipping)
			p.BytesAdded = int64(float64(bytes) * part)
			p.FilesAdded = int64(float64(files) * part)
			if z.plan.Step > 0 {
				p.BytesAdded -= p.BytesAdded % z.plan.Step
			}
		}
	}
	if stopped {
		p.Status = download.StatusCancelled
	}
	return p
}
