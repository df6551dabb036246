package repository

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
)

var (
	errZipCancelled = errors.New("cancelled")
	errZipGone      = errors.New("download deleted")
	errZipFailed    = errors.New("failure asked for by FailZipAfter")
)

// downloads holds the download nodes and the pool of threads that zip them. All
// methods are safe for concurrent use.
type downloads struct {
	cfg      Config
	tree     *tree
	accounts map[string]*account
	dir      string // directory of the zips and, with keep, the records
	keep     bool   // records survive the process
	log      *slog.Logger

	ctx  context.Context // ends with close
	stop context.CancelFunc
	wg   sync.WaitGroup // zip threads

	mu      sync.Mutex // guards the fields below and the changing fields of each download
	byID    map[string]*download
	queue   []*download // PENDING until a thread is free, oldest first
	running int         // zip threads
	closed  bool
}

func newDownloads(cfg Config, t *tree, accounts map[string]*account, dir string, keep bool) *downloads {
	ds := &downloads{cfg: cfg, tree: t, accounts: accounts, dir: dir, keep: keep,
		log: cfg.Logger, byID: make(map[string]*download)}
	ds.ctx, ds.stop = context.WithCancel(context.Background())
	return ds
}

// close ends every zip thread and waits for all of them.
func (ds *downloads) close() {
	ds.mu.Lock()
	ds.closed, ds.queue = true, nil
	ds.mu.Unlock()
	ds.stop()
	ds.wg.Wait()
}

// create makes a download of the nodes at paths. It is zipped in the background as
// soon as a thread is free.
func (ds *downloads) create(a *account, name string, paths []string) progressJSON {
	now := time.Now()
	d := &download{id: uuid.NewString(), owner: a.name, name: name, paths: paths,
		created: now, modified: now, status: statusPending}
	ds.mu.Lock()
	ds.byID[d.id] = d
	p := d.progress()
	ds.mu.Unlock()
	ds.save(d) // before its thread can save a later state
	ds.log.Info("download created", "op", "create", "download", d.id, "state", p.Status)

	ds.mu.Lock()
	defer ds.mu.Unlock()
	switch {
	case ds.closed: // stays PENDING for ever, as after any restart
	case ds.running < ds.cfg.ZipThreads:
		ds.running++
		ds.wg.Go(func() { ds.work(d) })
	default:
		ds.queue = append(ds.queue, d)
	}
	return p
}

// work zips d and then the queued downloads, until the queue is empty.
func (ds *downloads) work(d *download) {
	for d != nil {
		ds.run(d)
		d = ds.next()
	}
}

func (ds *downloads) next() *download {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if len(ds.queue) == 0 {
		ds.running--
		return nil
	}
	d := ds.queue[0]
	ds.queue[0] = nil
	ds.queue = ds.queue[1:]
	return d
}

// lookup returns the download with the id. Read only its unchanging fields without a
// snapshot.
func (ds *downloads) lookup(id string) (*download, bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d, ok := ds.byID[id]
	return d, ok
}

// view is a download at one moment.
type view struct {
	progressJSON
	modified    time.Time
	size        int64
	cancelAsked bool
}

func (ds *downloads) view(d *download) view {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	return view{d.progress(), d.modified, d.size, d.cancelAsked}
}

// cancel asks d's thread to stop. The thread stops at its next check, or never.
func (ds *downloads) cancel(d *download) {
	ds.mu.Lock()
	d.cancelAsked = true
	d.modified = time.Now() // as with every change of a node's properties, DONE or not
	ds.mu.Unlock()
	ds.save(d)
	ds.log.Info("download asked to cancel", "op", "cancel", "download", d.id)
}

// remove deletes d and its zip. Its thread stops at its next check.
func (ds *downloads) remove(d *download) {
	ds.mu.Lock()
	d.gone = true
	delete(ds.byID, d.id)
	ds.mu.Unlock()
	ds.save(d)
	if err := os.Remove(ds.zipPath(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		ds.log.Warn("delete zip", "op", "delete", "download", d.id, "err", err)
	}
	ds.log.Info("download deleted", "op", "delete", "download", d.id)
}

// expire removes the downloads that were made before t.
func (ds *downloads) expire(t time.Time) {
	ds.mu.Lock()
	var old []*download
	for _, d := range ds.byID {
		if d.created.Before(t) {
			old = append(old, d)
		}
	}
	ds.mu.Unlock()
	for _, d := range old {
		ds.remove(d)
	}
}

// clean runs the cleaner: it expires downloads until ctx ends.
func (ds *downloads) clean(ctx context.Context) {
	tick := time.NewTicker(ds.cfg.CleanerInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ds.expire(time.Now().Add(-ds.cfg.DownloadMaxAge))
		}
	}
}

func (ds *downloads) zipPath(d *download) string { return filepath.Join(ds.dir, d.id+zipSuffix) }

func (ds *downloads) openZip(d *download) (*os.File, error) { return os.Open(ds.zipPath(d)) }
