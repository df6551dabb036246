package share

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"downloadfs/download"
)

// Config is what a Share needs.
type Config struct {
	// Store is where the archives are. Close closes it.
	Store Store
	// Account keeps the archives of one account apart from those of others; see
	// Account.
	Account string
	// Size is how much the account's archives may take in the store, in bytes. To make
	// room, the oldest are deleted. Several mounts that write at once may exceed it for
	// a while, each by one archive.
	Size int64
	// Whole makes this mount fetch whole archives for the others. If it is not set,
	// the mount puts an archive into the store only when the cache happens to have all
	// of it, and never waits for another mount.
	Whole bool
	// Key encrypts and decrypts what is in the store; nil: nothing is encrypted. All
	// mounts of the account have the same.
	Key *Key
	// Only makes this mount read the store and never write to it: it has no content
	// server (see NoServer). What its user does to the list is undone.
	Only bool
	// Listed reports whether an archive is that of a download in the list. Others, such
	// as the parts of a download, are not shared. nil means that all are.
	Listed func(download.ID) bool
	Logger *slog.Logger
}

// Share is one mount's view of a store that the mounts of an account share. Its methods
// are safe for concurrent use.
type Share struct {
	cfg   Config
	gate  *gate
	store *guard
	clock *clock
	mount string // this run of the mount, random
	log   *slog.Logger

	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	uploads chan struct{} // a slot for each
	// followed is closed when list is set.
	followed chan struct{}

	mu       sync.Mutex // guards all below
	closed   bool
	local    download.Archives // what this mount has; nil before Archives
	archives map[download.ID]*archive
	progress map[download.ID]download.Progress // of what is DONE
	list     *list                             // nil before Follow
}

const (
	// maxUploads is how many archives this mount fetches for all at once.
	maxUploads = 4
	// releasedWithin is how long it may take to tell the others that a lease is free.
	releasedWithin = 2 * time.Second
)

// Account returns the name of the part of a store that belongs to one account of one
// content server. It tells neither of them.
func Account(parts ...string) string {
	h := sha256.Sum256([]byte("downloadfs share\x00" + strings.Join(parts, "\x00")))
	return hex.EncodeToString(h[:16])
}

// Prefix returns the prefix of an account's objects in a store.
func Prefix(account string) string { return versionPrefix + account }

// versionPrefix is that of everything that this version writes.
const versionPrefix = "downloadfs-1/"

// Open begins to use a store. It asks the store nothing.
func Open(cfg Config) *Share {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Share{
		cfg:      cfg,
		log:      cfg.Logger,
		mount:    rand.Text(),
		uploads:  make(chan struct{}, maxUploads),
		followed: make(chan struct{}),
		archives: make(map[download.ID]*archive),
		progress: make(map[download.ID]download.Progress),
	}
	s.gate = newGate(cfg.Store, cfg.Account, cfg.Key, !cfg.Only)
	s.store = newGuard(s.gate, cfg.Logger)
	s.clock = newClock(s.store, "clock/"+s.mount+"/")
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Check returns ErrKey if the account's objects are encrypted with another key, or if
// they are and the mount has no key, or the other way round. It returns nil if that
// cannot be found out before ctx ends: then nobody uses the store until it is.
func (s *Share) Check(ctx context.Context) error {
	checked := make(chan error, 1)
	go func() { // a store that hangs may not end with ctx
		_, err := s.gate.check(ctx)
		checked <- err
	}()
	select {
	case err := <-checked:
		if errors.Is(err, ErrKey) {
			return err
		}
	case <-ctx.Done():
	}
	return nil
}

// Close ends all work, gives up the leases and closes the store. Close it after the
// Manager and before the cache. Streams that are still open fail.
func (s *Share) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	return s.cfg.Store.Close()
}

// start runs f in a goroutine that Close waits for, and reports whether it could.
func (s *Share) start(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

// Archives wraps the cache, so that the share learns what it has. Call it once, before
// anything is read.
func (s *Share) Archives(local download.Archives) download.Archives {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.local = local
	return archives{local, s}
}

// archives are the cache's, and those that are whole are offered to the others.
type archives struct {
	download.Archives
	s *Share
}

// Open implements download.Archives.
func (a archives) Open(info download.ArchiveInfo) (download.Archive, error) {
	h, err := a.Archives.Open(info)
	if err == nil && a.Complete(info.ID) {
		a.s.offer(info)
	}
	return h, err
}

// has returns what this mount has.
func (s *Share) has() download.Archives {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.local
}

// offer puts an archive that this mount has whole into the store, unless it is there.
func (s *Share) offer(info download.ArchiveInfo) {
	if !s.shared(info) {
		return
	}
	a := s.archive(info)
	s.start(func() {
		_, _ = a.look(s.ctx) // the look begins the work; its error is that of closing
	})
}

// shared reports whether an archive is one for the store.
func (s *Share) shared(info download.ArchiveInfo) bool {
	return info.Node == "" && info.Size > 0 && info.Size <= maxBlocks*blockSize &&
		(s.cfg.Listed == nil || s.cfg.Listed(info.ID))
}

// archive returns what is known of an archive, which is shared.
func (s *Share) archive(info download.ArchiveInfo) *archive {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.archives[info.ID]
	if a == nil || a.info.Size != info.Size {
		a = newArchive(s, info)
		s.archives[info.ID] = a
	}
	return a
}

// forget ends all work for an archive. It reports whether that may have written
// something of it.
func (s *Share) forget(ctx context.Context, id download.ID) (wrote bool) {
	s.mu.Lock()
	a := s.archives[id]
	delete(s.archives, id)
	delete(s.progress, id)
	s.mu.Unlock()
	if a != nil {
		wrote = a.end(ctx)
	}
	if l := s.following(); l != nil {
		wrote = l.end(ctx, id) || wrote
	}
	return wrote
}
