package share

import (
	"bytes"
	"context"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// seeds returns how many seeds a test tries: few here, and many where
// DOWNLOADFS_SHARE_SEEDS says so.
func seeds(few, many uint64) uint64 {
	if os.Getenv("DOWNLOADFS_SHARE_SEEDS") != "" {
		return many
	}
	return few
}

// memStore is a store in memory whose clock, speed and health a test sets.
type memStore struct {
	skew    time.Duration // of its clock
	latency time.Duration // of each request
	pace    time.Duration // of each MiB read or written

	mu       sync.Mutex // guards all below
	objects  map[string]memObject
	created  map[string]time.Time // by key and content, also of what was deleted
	requests map[string]int
	// trouble, if set, is asked before each request. It may block until ctx ends.
	trouble func(ctx context.Context, op, key string) error
}

type memObject struct {
	data []byte
	at   time.Time
}

func newMemStore() *memStore {
	return &memStore{objects: make(map[string]memObject), created: make(map[string]time.Time), requests: make(map[string]int)}
}

func (m *memStore) setTrouble(f func(ctx context.Context, op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = f
}

func (m *memStore) enter(ctx context.Context, op, key string) error {
	m.mu.Lock()
	m.requests[op]++
	trouble := m.trouble
	m.mu.Unlock()
	if trouble != nil {
		if err := trouble(ctx, op, key); err != nil {
			return err
		}
	}
	return pause(ctx, m.latency)
}

func (m *memStore) spend(ctx context.Context, n int) error {
	return pause(ctx, m.pace*time.Duration(n)/blockSize)
}

func (m *memStore) Create(ctx context.Context, key string, body []byte) error {
	if err := m.enter(ctx, "create", key); err != nil {
		return err
	}
	if err := m.spend(ctx, len(body)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[key]; ok {
		return fmt.Errorf("create %s: %w", key, iofs.ErrExist)
	}
	m.created[key+string(body)] = time.Now()
	m.objects[key] = memObject{bytes.Clone(body), time.Now().Add(m.skew)}
	return nil
}

func (m *memStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := m.enter(ctx, "open", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	o, ok := m.objects[key]
	m.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("open %s: %w", key, iofs.ErrNotExist)
	}
	data := o.data[min(off, int64(len(o.data))):]
	if n >= 0 {
		data = data[:min(n, int64(len(data)))]
	}
	return io.NopCloser(readerFunc(func(p []byte) (int, error) {
		if len(data) == 0 {
			return 0, io.EOF
		}
		n := copy(p, data)
		data = data[n:]
		return n, m.spend(ctx, n)
	})), nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (m *memStore) List(ctx context.Context, prefix string) (found []Object, err error) {
	if err := m.enter(ctx, "list", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			found = append(found, Object{key, int64(len(m.objects[key].data)), m.objects[key].at})
		}
	}
	return found, nil
}

func (m *memStore) Delete(ctx context.Context, key string) error {
	if err := m.enter(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func (m *memStore) Close() error { return nil }

// age makes all objects older, and costs no virtual time in which mounts ask for much.
func (m *memStore) age(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, o := range m.objects {
		o.at = o.at.Add(-by)
		m.objects[key] = o
	}
}

// keys returns the keys of the objects that have part in them. The format of an account
// is always there, and left out.
func (m *memStore) keys(part string) (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.Contains(key, part) && !strings.HasSuffix(key, "/"+formatKey) {
			keys = append(keys, key)
		}
	}
	return keys
}

// edit changes an object, as a broken disk or a bad hand does.
func (m *memStore) edit(key string, f func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[key]
	o.data = f(bytes.Clone(o.data))
	m.objects[key] = o
}

// behind is a mount's own way to a store, which can be cut.
type behind struct {
	Store
	mu    sync.Mutex
	cut   bool
	empty bool // it shows nothing, as a directory where nothing is mounted
}

func (b *behind) setCut(cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut, b.empty = cut, false
}

// isEmpty reports whether nothing is seen of the store.
func (b *behind) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.empty
}

// pass waits for ever where the way is cut, as packets that nobody answers do.
func (b *behind) pass(ctx context.Context) error {
	b.mu.Lock()
	cut := b.cut
	b.mu.Unlock()
	if !cut {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b *behind) Create(ctx context.Context, key string, body []byte) error {
	if err := b.pass(ctx); err != nil {
		return err
	}
	return b.Store.Create(ctx, key, body)
}

func (b *behind) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := b.pass(ctx); err != nil {
		return nil, err
	}
	if b.isEmpty() {
		return nil, iofs.ErrNotExist
	}
	return b.Store.Open(ctx, key, off, n)
}

func (b *behind) List(ctx context.Context, prefix string) ([]Object, error) {
	if err := b.pass(ctx); err != nil {
		return nil, err
	}
	if b.isEmpty() {
		return nil, nil
	}
	return b.Store.List(ctx, prefix)
}

func (b *behind) Delete(ctx context.Context, key string) error {
	if err := b.pass(ctx); err != nil {
		return err
	}
	return b.Store.Delete(ctx, key)
}

func (b *behind) Close() error { return nil }

func (b *behind) replaced() bool {
	store, ok := b.Store.(renewer)
	return ok && store.replaced()
}

func (b *behind) renew() { b.Store.(renewer).renew() }

// server is a content server with finished archives. It counts what it sends.
type server struct {
	download.Service               // nil: Get, Archive and Delete are all that is asked
	pace             time.Duration // of each MiB of a stream

	mu      sync.Mutex // guards all below
	data    map[download.ID][]byte
	sent    int64
	streams int
}

func newServer() *server { return &server{data: make(map[download.ID][]byte)} }

// add adds an archive of n bytes.
func (s *server) add(id download.ID, n int) download.ArchiveInfo {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", id))))
	_, _ = r.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[id] = p
	return download.ArchiveInfo{ID: id, Name: string(id) + ".zip", Size: int64(n), ModifiedAt: time.Unix(1700000000, 0)}
}

func (s *server) expire(id download.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.data, id)
}

func (s *server) content(id download.ID) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data[id]
}

func (s *server) bytesSent() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *server) Get(_ context.Context, id download.ID) (download.Progress, error) {
	if data := s.content(id); data != nil {
		return download.Progress{ID: id, Status: download.StatusDone, BytesAdded: 7, TotalBytes: 7, FilesAdded: 1, TotalFiles: 1}, nil
	}
	return download.Progress{}, fmt.Errorf("get %s: %w", id, download.ErrNotFound)
}

func (s *server) Archive(_ context.Context, id download.ID) (download.ArchiveInfo, error) {
	return download.ArchiveInfo{}, fmt.Errorf("archive of %s: %w", id, download.ErrNotFound)
}

func (s *server) Delete(_ context.Context, id download.ID) error {
	s.expire(id)
	return nil
}

func (s *server) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	data := s.content(a.ID)
	if int64(len(data)) < end {
		return nil, fmt.Errorf("read %s: %w", a.ID, download.ErrNotFound)
	}
	s.mu.Lock()
	s.streams++
	s.mu.Unlock()
	data = data[off:end]
	return io.NopCloser(readerFunc(func(p []byte) (int, error) {
		if len(data) == 0 {
			return 0, io.EOF
		}
		n := copy(p[:min(len(p), 64<<10)], data)
		if err := pause(ctx, s.pace*time.Duration(n)/blockSize); err != nil {
			return 0, err
		}
		data = data[n:]
		s.mu.Lock()
		s.sent += int64(n)
		s.mu.Unlock()
		return n, nil
	})), nil
}

// memCache is a cache in memory. Like the real one it fetches each block once, and
// reads ahead.
type memCache struct {
	download.Archives // nil: Open and Complete are all that is asked
	source            download.Source

	mu    sync.Mutex
	files map[download.ID]*memFile
}

type memFile struct {
	c    *memCache
	info download.ArchiveInfo
	lock chan struct{} // one fetch at a time

	mu     sync.Mutex
	blocks map[int][]byte
}

func (c *memCache) file(info download.ArchiveInfo) *memFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[info.ID]
	if f == nil {
		f = &memFile{c: c, info: info, lock: make(chan struct{}, 1), blocks: make(map[int][]byte)}
		c.files[info.ID] = f
	}
	return f
}

func (c *memCache) Open(info download.ArchiveInfo) (download.Archive, error) {
	return c.file(info), nil
}

func (c *memCache) Complete(id download.ID) bool {
	c.mu.Lock()
	f := c.files[id]
	c.mu.Unlock()
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.blocks) == newLayout(f.info.Size).blocks
}

func (f *memFile) get(b int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blocks[b]
}

func (f *memFile) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off+int64(done) < f.info.Size {
		at := off + int64(done)
		b := int(at / blockSize)
		if err := f.want(ctx, b); err != nil {
			return done, err
		}
		done += copy(p[done:], f.get(b)[at%blockSize:])
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// want fetches block b, and some blocks behind it.
func (f *memFile) want(ctx context.Context, b int) error {
	select {
	case f.lock <- struct{}{}:
		defer func() { <-f.lock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.get(b) != nil {
		return nil
	}
	l := newLayout(f.info.Size)
	to := b + 1
	for to < min(l.blocks, b+8) && f.get(to) == nil {
		to++
	}
	r, err := f.c.source.Stream(ctx, f.info, l.offset(b), l.offset(to))
	if err != nil {
		return err
	}
	defer r.Close()
	for ; b < to; b++ {
		p := make([]byte, l.offset(b+1)-l.offset(b))
		if _, err := io.ReadFull(r, p); err != nil {
			return err
		}
		f.mu.Lock()
		f.blocks[b] = p
		f.mu.Unlock()
	}
	return nil
}

func (f *memFile) File(int64, int64) (*os.File, bool) { return nil, false }
func (f *memFile) Close() error                       { return nil }

// mount is one machine's: a cache over a share over the server.
type mount struct {
	t        *testing.T
	server   *server
	way      *behind
	share    *Share
	source   download.Source
	service  download.Service
	archives download.Archives
	log      *bytes.Buffer
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// newMount makes a mount that ends with the test.
func newMount(t *testing.T, s *server, store Store, edit ...func(*Config)) *mount {
	t.Helper()
	m := &mount{t: t, server: s, way: &behind{Store: store}, log: new(bytes.Buffer)}
	cfg := Config{Store: m.way, Account: Account("test"), Size: 1 << 40, Whole: true,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{new(sync.Mutex), m.log}, nil))}
	for _, f := range edit {
		f(&cfg)
	}
	m.share = Open(cfg)
	m.source = m.share.Source(s)
	m.service = m.share.Service(s)
	m.archives = m.share.Archives(&memCache{source: m.source, files: make(map[download.ID]*memFile)})
	t.Cleanup(func() { assert.NoError(t, m.share.Close()) })
	return m
}

// read reads a whole archive and checks it.
func (m *mount) read(info download.ArchiveInfo) error {
	return m.readRange(info, m.server.content(info.ID), 0, info.Size)
}

// readRange reads a range of an archive whose content is want.
func (m *mount) readRange(info download.ArchiveInfo, want []byte, off, end int64) error {
	a, err := m.archives.Open(info)
	if err != nil {
		return err
	}
	defer a.Close()
	p := make([]byte, end-off)
	if n, err := a.ReadAt(m.t.Context(), p, off); n < len(p) {
		return err
	}
	if !bytes.Equal(want[off:end], p) {
		return fmt.Errorf("wrong bytes in [%d,%d) of %s", off, end, info.ID)
	}
	return nil
}

// settled waits until the archive is whole in the store, and for the release of the
// lease, which comes after.
func (m *mount) settled(info download.ArchiveInfo) {
	m.t.Helper()
	for range 1000 {
		if _, err := m.share.manifest(m.t.Context(), info.ID); err == nil {
			time.Sleep(100 * time.Millisecond)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	require.Fail(m.t, "the archive is not in the store", "%s", m.log)
}
