package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Repository is a content server. It is an [http.Handler] and safe for
// concurrent use.
type Repository struct {
	cfg       Config
	log       *slog.Logger
	root      *os.Root
	tree      *tree
	accounts  map[string]*account
	tickets   *tickets
	downloads *downloads
	handler   http.Handler
	counters  counters

	dataDir  string
	tempData bool       // dataDir is removed by Close
	saveMu   sync.Mutex // held while the list of deleted nodes is written
	stop     context.CancelFunc
	wg       sync.WaitGroup // the cleaner
	closed   atomic.Bool
}

var _ http.Handler = (*Repository)(nil)

// New opens the folder and the data directory and starts the cleaner. Close ends what
// New starts.
func New(cfg Config) (_ *Repository, err error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &Repository{cfg: cfg, log: cfg.Logger, accounts: newAccounts(cfg.Users), tickets: newTickets(cfg.TicketMaxIdle)}
	if s.root, err = os.OpenRoot(cfg.Dir); err != nil {
		return nil, fmt.Errorf("serve folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.root.Close())
		}
	}()
	s.tree = newTree(s.root)
	if err := s.openData(); err != nil {
		return nil, err
	}
	s.downloads = newDownloads(cfg, s.tree, s.accounts, s.dataDir, !s.tempData)
	if !s.tempData {
		if err := s.loadData(); err != nil {
			return nil, err
		}
	}
	s.handler = s.routes()

	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.wg.Go(func() { s.downloads.clean(ctx) })
	return s, nil
}

func (s *Repository) loadData() error {
	var paths []string
	err := readFileJSON(filepath.Join(s.dataDir, deletedFile), &paths)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read deleted nodes: %w", err)
	}
	for _, p := range paths {
		s.tree.delete(p)
	}
	return s.downloads.load()
}

func (s *Repository) saveDeleted() {
	if s.tempData {
		return
	}
	s.saveMu.Lock()
	defer s.saveMu.Unlock()
	if err := writeFileJSON(filepath.Join(s.dataDir, deletedFile), s.tree.deletedPaths()); err != nil {
		s.log.Warn("save deleted nodes", "op", "save", "err", err)
	}
}

// ServeHTTP answers one request.
func (s *Repository) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	rec := &recorder{ResponseWriter: w}
	switch {
	case s.closed.Load():
		writeError(rec, &apiError{status: http.StatusServiceUnavailable, msg: "The server is shutting down"})
	case r.Method == http.MethodHead:
		// Go answers HEAD wherever there is a GET; Alfresco does not.
		writeError(rec, unsupported())
	default:
		s.handler.ServeHTTP(rec, r)
	}
	if rec.status == http.StatusUnauthorized {
		s.counters.unauthorized.Add(1)
	}
	// Log the path only: the query may hold a ticket.
	s.log.Debug("request", "op", r.Method, "path", r.URL.Path, "status", rec.status, "len", rec.sent, "took", time.Since(begun))
}

// Close ends every zip thread and the cleaner, waits for them, and removes temporary
// data. Later requests get a 503. The HTTP server must end requests that are under
// way first.
func (s *Repository) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.downloads.close()
	s.wg.Wait()
	err := s.root.Close()
	if s.tempData {
		err = errors.Join(err, os.RemoveAll(s.dataDir))
	}
	return err
}
