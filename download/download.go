package download

import (
	"errors"
	"slices"
	"time"
)

// Download is one download that a Manager watches. Its methods are safe for
// concurrent use and make no request.
type Download struct {
	m         *Manager
	id        ID
	serial    uint64
	nodes     []NodeID
	createdAt time.Time

	// Manager.mu guards all below.

	alias     string // "" while the directory's name is the id
	progress  Progress
	archive   *ArchiveInfo // set once, when DONE
	changedAt time.Time
	begunAt   time.Time // when it was last seen to wait for its turn, once it has had it
	cancelled bool      // by us: the server's status no longer counts
	settled   bool      // the server will say nothing new about it
	dropped   bool      // the local copy is not wanted
	removed   bool      // no longer listed

	parts *assembly // set if it is got in parts; stays after it has ended
	// elsewhere is what the server said of a download that is too large for one zip, and
	// that another mount made. It is got in parts here when somebody waits for it.
	// It is zero otherwise.
	elsewhere Progress

	changed chan struct{} // closed and set to nil at each change; nil while nobody watches
	waiters int
	handles int // open archives

	watch watch
}

// ID returns the server's id of the download.
func (d *Download) ID() ID { return d.id }

// Serial is a number that belongs to this download for good: never 0, never
// given to another download of the same journal, the same after a restart.
func (d *Download) Serial() uint64 { return d.serial }

// NodeIDs returns the nodes that were asked for, in order; empty for an adopted
// download.
func (d *Download) NodeIDs() []NodeID { return slices.Clone(d.nodes) }

// Snapshot is a download's state at one moment.
type Snapshot struct {
	Progress
	// Name is the name of the download's directory: the ID, or the user's alias.
	Name string
	// Err says why a waiter would not get the archive, wrapping a sentinel; nil while
	// all is well. Its text is one plain sentence for people.
	Err error
	// Archive is known (Size > 0 or DONE) once the server has said DONE.
	Archive ArchiveInfo
	// Ready says that the archive can be opened: DONE, or EXPIRED and complete
	// in the cache.
	Ready bool
	// Parts tells how far the parts are if the archive is got in parts.
	Parts PartsProgress
	// CachedBytes is how much of the archive is on local disk.
	CachedBytes int64
	CreatedAt   time.Time
	// BegunAt is when the server began to zip, as far as polls have seen; zero if it has
	// not, or began before this mount.
	BegunAt time.Time
	// ChangedAt is when the state or a counter last changed.
	ChangedAt time.Time
	// NoAnswerSince is since when the server has not answered; zero while it answers, and
	// for a download that has ended.
	NoAnswerSince time.Time
}

// Snapshot returns the state now, without waiting.
func (d *Download) Snapshot() Snapshot {
	var s Snapshot
	inParts := false
	d.m.locked(func() {
		s = Snapshot{
			Progress:  d.progress,
			Name:      d.name(),
			CreatedAt: d.createdAt,
			BegunAt:   d.begunAt,
			ChangedAt: d.changedAt,
		}
		if d.archive != nil {
			s.Archive = *d.archive
		}
		s.Ready, s.Err = d.verdict(time.Now())
		if !d.progress.Status.Ended() {
			s.NoAnswerSince = d.m.server.silentSince(time.Now())
		}
		s.Parts = d.partsProgress()
		inParts = d.parts != nil
	})
	if inParts {
		s.CachedBytes = s.Archive.Size
		if s.Status != StatusDone {
			s.CachedBytes = d.m.cachedParts(d)
		}
		return s
	}
	if s.Archive.ID != "" {
		s.CachedBytes = d.m.archives.Cached(d.id)
		if d.rescued(s.Err) {
			s.Ready, s.Err = true, nil
		}
	}
	return s
}

// rescued reports whether err does not matter because the whole archive is on disk. Do
// not hold Manager.mu: it asks the cache.
func (d *Download) rescued(err error) bool {
	return errors.Is(err, ErrExpired) && d.m.archives.Complete(d.id)
}

// name returns the name of the directory. Manager.mu is held.
func (d *Download) name() string {
	if d.alias != "" {
		return d.alias
	}
	return string(d.id)
}

// record returns the journal's record of d. Manager.mu is held.
func (d *Download) record() downloadRecord {
	r := downloadRecord{
		V: recordVersion, ID: d.id, Name: d.alias, Status: d.progress.Status,
		BytesAdded: d.progress.BytesAdded, TotalBytes: d.progress.TotalBytes,
		FilesAdded: d.progress.FilesAdded, TotalFiles: d.progress.TotalFiles,
		CreatedAt: d.createdAt, ChangedAt: d.changedAt,
		Cancelled: d.cancelled, Settled: d.settled && d.elsewhere == Progress{}, Dropped: d.dropped,
	}
	if d.parts != nil && !d.parts.ended && !d.cancelled && d.progress.Status != StatusExpired {
		r.PartLimit = d.parts.limit
	}
	if d.archive != nil {
		r.Archive = &archiveRecord{Name: d.archive.Name, Size: d.archive.Size, ModifiedAt: d.archive.ModifiedAt}
	}
	return r
}

// remembered returns the download that s, from the journal, describes.
func (m *Manager) remembered(s storedDownload) *Download {
	r := s.record
	d := m.newDownload(r.ID, s.nodes)
	d.serial, d.alias, d.progress = s.serial, r.Name, r.progress()
	d.createdAt, d.changedAt = r.CreatedAt, r.ChangedAt
	d.cancelled, d.settled, d.dropped = r.Cancelled, r.Settled, r.Dropped
	if r.PartLimit > 0 {
		if d.parts = s.plan; d.parts == nil {
			d.parts = newAssembly(r.PartLimit)
		}
		d.settled = true
	}
	if r.Archive != nil {
		d.archive = &ArchiveInfo{ID: r.ID, Name: r.Archive.Name, Size: r.Archive.Size, ModifiedAt: r.Archive.ModifiedAt}
	}
	return d
}
