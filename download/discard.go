package download

import (
	"fmt"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
)

// Discard implements unlinking archive.zip. It cancels a running download: the download
// is CANCELLED at once, its waiters get ErrCancelled, and the server is told in the
// background, after a restart too. The download stays CANCELLED even if the server was
// faster and ends DONE, but takes over the counters that the server reaches. If the
// download has ended, Discard drops the local copy, which is not fetched again in the
// background. An archive that was got in parts is nowhere else, so it becomes EXPIRED.
// An error means that the download is what it was; its local copy may be gone.
func (m *Manager) Discard(d *Download) error {
	m.mu.Lock()
	if d.removed {
		m.mu.Unlock()
		return fmt.Errorf("discard %s: %w", d.id, ErrNotFound)
	}
	if d.parts != nil && d.progress.Status == StatusDone {
		m.mu.Unlock()
		return m.discardParts(d)
	}
	if d.progress.Status.Ended() {
		d.dropped = true
		m.save(d)
		m.mu.Unlock()
		if err := m.archives.Drop(d.id); err != nil {
			return fmt.Errorf("discard %s: %w", d.id, err)
		}
		return nil
	}
	old := d.progress.Status
	d.progress.Status, d.cancelled, d.dropped = StatusCancelled, true, true
	m.mu.Unlock()

	err := m.journal.Update(func(tx journal.Tx) error {
		return m.putRecord(tx, d, func() error {
			if err := m.forgetParts(tx, d); err != nil {
				return err
			}
			return tx.Put(journal.Removals, d.serial, removalRecord{V: recordVersion, ID: d.id, Cancel: true})
		})
	})

	var parts *assembly
	defer func() { m.letGo(parts) }()
	m.mu.Lock()
	defer m.unlock()
	parts = d.parts
	if err != nil {
		if !d.removed {
			d.progress.Status, d.cancelled, d.dropped, d.settled = old, false, false, d.parts != nil
			m.schedule(d)
		}
		return fmt.Errorf("discard %s: %w", d.id, err)
	}
	if d.removed {
		return nil
	}
	d.changedAt = time.Now()
	m.endParts(d)
	m.transition(d, old)
	d.watch.forecast.Start(d.changedAt, nil)
	m.schedule(d)
	r := m.newRemoval(d.id, d.serial, true, false)
	r.of, r.until = d, d.unseenUntil()
	m.removals[d.id] = r
	m.work.Set(&r.task, time.Now(), schedule.Chore)
	return nil
}
