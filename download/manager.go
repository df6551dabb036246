package download

import (
	"context"
	"log/slog"
	"time"
)

// Config is what a Manager needs.
type Config struct {
	Service  Service
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
	// Prefetch fetches each archive whole when its download is DONE.
	Prefetch bool
	Logger   *slog.Logger
}

// Manager creates, watches, cancels and removes downloads and remembers them in
// a journal. Its methods are safe for concurrent use.
type Manager struct{}

// Open reads the journal and starts watching what is not finished, without
// waiting for the server. ErrLocked when another process has the journal.
func Open(cfg Config) (*Manager, error) { panic("not implemented") }

// Close releases every waiter with ErrClosed, ends all work and closes the
// journal. What is unfinished goes on after the next Open.
func (m *Manager) Close() error { panic("not implemented") }

// Downloads returns all downloads, oldest first. It makes no request.
func (m *Manager) Downloads() []*Download { panic("not implemented") }

// Lookup returns the download whose directory is called name.
func (m *Manager) Lookup(name string) (*Download, bool) { panic("not implemented") }

// Create resolves the list's paths, asks the server for the download and
// journals it before it returns. When ctx ends first, Create returns ctx.Err()
// and the work goes on; its outcome is then found by LastOutcome.
func (m *Manager) Create(ctx context.Context, l List) (*Download, error) { panic("not implemented") }

// LastOutcome returns the outcome of the latest Create that finished: the
// download's id, or the error; both zero before the first.
func (m *Manager) LastOutcome() (ID, error) { panic("not implemented") }

// Adopt takes over a download that was made elsewhere. ErrNotFound when the
// server does not know it, ErrInvalid when it is another kind of node,
// ErrExists when it is here already.
func (m *Manager) Adopt(ctx context.Context, id ID) (*Download, error) { panic("not implemented") }

// Rename gives the download's directory another name. ErrExists when it is
// taken, ErrInvalid when it cannot be a name.
func (m *Manager) Rename(d *Download, name string) error { panic("not implemented") }

// Discard is what unlinking archive.zip does. A running download is cancelled:
// it is CANCELLED at once, its waiters get ErrCancelled, and the server is told
// in the background, after a restart too. Of an ended one the local copy is
// dropped and not fetched again in the background.
func (m *Manager) Discard(d *Download) error { panic("not implemented") }

// Remove is what removing the directory does: the download is gone from the
// list and the journal when Remove returns, its waiters get ErrCancelled, and
// cancelling and deleting it on the server is retried in the background, after
// a restart too. Handles that are open keep working; the server's copy is
// deleted after the last of them is closed.
func (m *Manager) Remove(d *Download) error { panic("not implemented") }

// OpenArchive returns a handle on a DONE download's archive, or on a complete
// cached one. It does not wait: ErrNotReady while the download is running (see
// [Download.Wait]), else the error that Wait would give.
func (m *Manager) OpenArchive(d *Download) (Archive, error) { panic("not implemented") }

// Usage returns the cache's size and use.
func (m *Manager) Usage() Usage { panic("not implemented") }
