package download

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// OpenArchive returns a handle on the archive of a DONE download, or on a complete
// cached one. It does not wait: it returns ErrNotReady while the download is running
// (see [Download.Wait]), and otherwise the error that Wait would return. If the
// download is in trouble but may recover, the error wraps both: Wait asks once more.
func (m *Manager) OpenArchive(d *Download) (Archive, error) {
	var info *ArchiveInfo
	var parts *assembly
	var ready bool
	var err error
	m.locked(func() {
		ready, err = d.verdict(time.Now())
		if err != nil && d.mayRecover() {
			err = fmt.Errorf("%w: %w", ErrNotReady, err)
		}
		d.handles++ // a Remove from now on leaves the server's copy alone
		m.opened++
		if info, parts = d.archive, d.parts; parts != nil {
			parts.readers++
		}
	})
	a, err := m.openArchive(d, info, parts, ready, err)
	if err != nil {
		m.release(d, parts)
		return nil, fmt.Errorf("open archive of %s: %w", d.id, err)
	}
	return &handle{m: m, d: d, parts: parts, archive: a}, nil
}

func (m *Manager) openArchive(d *Download, info *ArchiveInfo, parts *assembly, ready bool, err error) (Archive, error) {
	switch {
	case !ready && err == nil:
		return nil, ErrNotReady
	case ready && parts != nil:
		return m.openParts(parts, *info)
	case !ready && (info == nil || parts != nil || !d.rescued(err)):
		// What the cache has of a download in parts is another mount's, until [Manager.Supply].
		return nil, err
	}
	return m.archives.Open(*info)
}

func (m *Manager) release(d *Download, parts *assembly) {
	m.locked(func() {
		d.handles--
		if parts != nil {
			parts.readers--
		}
		m.opened--
		m.unpark(d)
	})
	m.letGo(parts)
}

// handle is an open archive. It notices when the server no longer has the archive, and
// keeps the server from being told to delete it while somebody reads.
type handle struct {
	m       *Manager
	d       *Download
	parts   *assembly // nil: it is one zip of the server
	archive Archive
	closing sync.Once
	err     error // of Close
}

var (
	_ Archive  = (*handle)(nil)
	_ Lender   = (*handle)(nil)
	_ Expecter = (*handle)(nil)
)

// ReadAt implements Archive. It returns ErrExpired when the server no longer has the
// archive.
func (h *handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := h.archive.ReadAt(ctx, p, off)
	return n, h.noticed(err)
}

// Lend implements Lender. Its errors are those of ReadAt.
func (h *handle) Lend(ctx context.Context, p []byte, off int64) (Loan, error) {
	loan, err := Lend(ctx, h.archive, p, off)
	return loan, h.noticed(err)
}

// Expect implements Expecter.
func (h *handle) Expect(off, n int64) { Expect(h.archive, off, n) }

// noticed returns what a reader is told of err.
func (h *handle) noticed(err error) error {
	if isAny(err, ErrNotFound, ErrExpired) {
		h.m.suspect(h.d)
		err = fmt.Errorf("read archive of %s: %w: %v", h.d.id, ErrExpired, err)
	}
	return err
}

// File implements Archive.
func (h *handle) File(off, n int64) (*os.File, bool) { return h.archive.File(off, n) }

// Close implements Archive. The second and later calls return what the first did.
func (h *handle) Close() error {
	h.closing.Do(func() {
		h.err = h.archive.Close()
		h.m.release(h.d, h.parts)
	})
	return h.err
}

// suspect has d polled now, because a read said that the server no longer has it.
func (m *Manager) suspect(d *Download) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !d.settled && !d.removed && !m.closing {
		m.work.Advance(&d.watch.task, d.watch.asked.Add(freshSpacing))
	}
}

// wantsFetch returns d's archive if it is to be fetched in the background, else nil.
// m.mu is held.
func (m *Manager) wantsFetch(d *Download) *ArchiveInfo {
	if !m.wantsPrefetch || d.dropped || d.removed || m.closing || d.parts != nil || d.progress.Status != StatusDone {
		return nil
	}
	return d.archive
}

// prefetch starts fetching a whole archive. It is called after each poll that finds the
// download DONE: at the transition, some time after Open, and slowly from then on. An
// archive that did not fit gets another chance that way.
func (m *Manager) prefetch(d *Download, a ArchiveInfo) {
	_ = m.call("prefetch", a.ID, func() error {
		if m.archives.Complete(a.ID) {
			return nil
		}
		m.archives.Prefetch(a)
		m.mu.Lock()
		unwanted := d.dropped || d.removed
		m.mu.Unlock()
		if unwanted { // since we looked
			return m.archives.Drop(a.ID)
		}
		return nil
	})
}
