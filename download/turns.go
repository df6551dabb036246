package download

import (
	"context"
	"errors"
	"fmt"
	"time"

	"downloadfs/download/journal"
)

// Turns lets one of the mounts that show the same downloads get in parts what is too
// large for one zip of the server. It is safe for concurrent use.
type Turns interface {
	// Take blocks until it is this mount's turn to get the download in parts, and
	// returns nil, or ctx's error. The turn lasts until the download has ended or is no
	// longer listed; to take it again is no mistake. begun says that this mount has some
	// of the parts already.
	Take(ctx context.Context, id ID, begun bool) error
}

// Supply takes in how far another mount is that gets d in parts or, if l has the
// archive, that all mounts can read it now as d's. d is then DONE and in parts no
// longer. Supply changes nothing of a download that has ended here, unless it was only
// too large or its parts are gone, nor the counters of one whose parts this mount gets
// itself. An error means that nothing has changed.
func (m *Manager) Supply(d *Download, l Listed) error {
	if err := errors.Join(checkProgress(l.Progress, d.id), l.check()); err != nil {
		return fmt.Errorf("supply %s: %w: %w", d.id, ErrInvalid, err)
	}
	if l.Archive == nil {
		m.supplyProgress(d, l.Progress)
		return nil
	}
	for {
		var wanted bool
		var stopped chan struct{}
		m.locked(func() {
			if wanted = d.wants(); wanted {
				stopped = d.stopAssembly()
			}
		})
		if !wanted {
			return nil
		}
		if stopped != nil {
			<-stopped
		}
		// It is started again if the server says meanwhile that d is too large.
		if again, err := m.supplyArchive(d, l, stopped); !again {
			return err
		}
	}
}

// stopAssembly tells the goroutine that gets d's parts to stop, if there is one, and
// returns what is closed when it has. m.mu is held.
func (d *Download) stopAssembly() (stopped chan struct{}) {
	if d.parts == nil || d.parts.stop == nil {
		return nil
	}
	d.parts.stop()
	return d.parts.stopped
}

// wants reports whether the archive that another mount has made may become d's. m.mu is
// held.
func (d *Download) wants() bool {
	if d.removed || d.cancelled {
		return false
	}
	s := d.progress.Status
	return !s.Ended() || s == StatusTooLarge || s == StatusExpired && d.parts != nil
}

func (m *Manager) supplyProgress(d *Download, p Progress) {
	m.mu.Lock()
	defer m.unlock()
	none := Progress{}
	if d.parts == nil && d.elsewhere == none || d.parts != nil && d.parts.pieces != nil || !d.wants() || p.Status.Ended() || p == d.progress {
		return
	}
	old := d.progress.Status
	d.progress, d.changedAt = p, time.Now()
	if p.Status == old {
		m.change(d)
	} else {
		m.transition(d, old)
	}
}

// supplyArchive makes d DONE, unless another goroutine gets its parts than the one that
// has closed stopped: then it reports that d must be supplied again.
func (m *Manager) supplyArchive(d *Download, l Listed, stopped chan struct{}) (again bool, _ error) {
	info := *l.Archive
	info.Name = safeFileName(info.Name)
	var wanted bool
	var rec downloadRecord
	m.locked(func() { wanted, rec = d.wants(), d.record() })
	if !wanted { // it has got the last part itself, meanwhile
		return false, nil
	}
	rec.Status, rec.BytesAdded, rec.TotalBytes, rec.FilesAdded, rec.TotalFiles = StatusDone, l.BytesAdded, l.TotalBytes, l.FilesAdded, l.TotalFiles
	rec.Archive = &archiveRecord{Name: info.Name, Size: info.Size, ModifiedAt: info.ModifiedAt}
	rec.ChangedAt, rec.Settled, rec.PartLimit = time.Now(), false, 0
	over := false
	err := m.journal.Update(func(tx journal.Tx) error {
		m.locked(func() { over = !d.wants() })
		if over {
			return nil
		}
		if err := m.forgetParts(tx, d); err != nil {
			return err
		}
		return tx.Put(journal.Downloads, d.serial, rec)
	})
	var a *assembly
	var fetch *ArchiveInfo
	m.locked(func() {
		a = d.parts
		wanted := d.wants()
		again = err == nil && !over && wanted && a != nil && a.stop != nil && a.stopped != stopped
		if again {
			return
		}
		if err != nil || over || !wanted {
			if err != nil && a != nil && a.stop != nil && a.stopped == stopped && wanted {
				m.startAssembly(d)
			}
			return
		}
		if a != nil {
			a.ended = true
			m.removeParts(a)
		}
		old := d.progress.Status
		d.parts, d.elsewhere = nil, Progress{}
		d.archive, d.progress, d.changedAt = &info, l.Progress, rec.ChangedAt
		d.settled = false
		m.transition(d, old)
		m.schedule(d)
		fetch = m.wantsFetch(d)
	})
	if err != nil {
		return false, fmt.Errorf("supply %s: %w", d.id, err)
	}
	if fetch != nil {
		m.prefetch(d, *fetch)
	}
	m.letGo(a)
	return again, nil
}
