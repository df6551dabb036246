package download

import (
	"context"
	"time"
)

// Download is one download that a Manager watches. Its methods are safe for
// concurrent use and make no request.
type Download struct{}

// ID returns the server's id of the download.
func (d *Download) ID() ID { panic("not implemented") }

// Serial is a number that belongs to this download for good: never 0, never
// given to another download of the same journal, the same after a restart.
func (d *Download) Serial() uint64 { panic("not implemented") }

// NodeIDs returns the nodes asked for, in order; empty for an adopted download.
func (d *Download) NodeIDs() []NodeID { panic("not implemented") }

// Snapshot is a download's state at one moment.
type Snapshot struct {
	Progress
	// Name is the name of the download's directory: the ID, or the user's alias.
	Name string
	// Err is why a waiter would not get the archive, wrapping a sentinel; nil
	// while all is well. Its text is one plain sentence for people.
	Err error
	// Archive is known (Size > 0 or DONE) once the server said DONE.
	Archive ArchiveInfo
	// Ready says that the archive can be opened: DONE, or EXPIRED and complete
	// in the cache.
	Ready bool
	// CachedBytes is how much of the archive is on local disk.
	CachedBytes int64
	CreatedAt   time.Time
	// ChangedAt is when the state or a counter changed last.
	ChangedAt time.Time
}

// Snapshot returns the state now, without waiting.
func (d *Download) Snapshot() Snapshot { panic("not implemented") }

// Wait blocks until the archive can be opened and returns nil, or until it
// cannot: ErrCancelled, ErrTooLarge, ErrExpired, ErrStalled, ErrUnauthorized,
// ErrForbidden, ErrUnavailable, ErrClosed, or ctx.Err(). While somebody waits
// the download is polled more often.
func (d *Download) Wait(ctx context.Context) error { panic("not implemented") }
