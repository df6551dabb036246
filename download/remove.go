package download

import (
	"fmt"
	"slices"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
)

// Remove implements removing the directory. When it returns, the download is gone from
// the list and the journal, and its waiters get ErrCancelled. Cancelling and deleting
// it on the server is retried in the background, after a restart too. Open handles keep
// working; the server's copy is deleted after the last of them is closed. An error
// means that nothing has changed.
func (m *Manager) Remove(d *Download) error {
	m.mu.Lock()
	if d.removed {
		m.mu.Unlock()
		return fmt.Errorf("remove %s: %w", d.id, ErrNotFound)
	}
	d.removed = true // from now on nothing journals it
	// A download that seems to be EXPIRED may still be there.
	zipping := !d.progress.Status.Ended() || d.progress.Status == StatusExpired && d.archive == nil
	cancel := zipping || d.cancelled && !d.settled
	m.mu.Unlock()

	err := m.journal.Update(func(tx journal.Tx) error {
		for _, bucket := range []journal.Bucket{journal.Downloads, journal.Nodes, journal.Removals} {
			if err := tx.Delete(bucket, d.serial); err != nil {
				return err
			}
		}
		if err := m.forgetParts(tx, d); err != nil {
			return err
		}
		return tx.Put(journal.Removals, d.serial, removalRecord{V: recordVersion, ID: d.id, Cancel: cancel, Delete: true})
	})

	if err != nil {
		m.locked(func() {
			d.removed = false
			m.save(d)
			m.schedule(d)
		})
		return fmt.Errorf("remove %s: %w", d.id, err)
	}
	var parts *assembly
	m.locked(func() {
		m.unlist(d, cancel)
		parts = d.parts
	})
	m.letGo(parts)
	m.log.Info("download removed", "op", "remove", "download", d.id)

	if err := m.archives.Drop(d.id); err != nil {
		m.log.Warn("archive not dropped from the cache", "op", "remove", "download", d.id, "err", err)
	}
	return nil
}

// unlist takes d, whose removal is journaled, off the list and has the server remove
// it. cancel says that it may be running. m.mu is held; call letGo afterwards without
// it.
func (m *Manager) unlist(d *Download, cancel bool) {
	if at, ok := slices.BinarySearchFunc(m.list, d.serial, bySerial); ok {
		m.list = slices.Delete(m.list, at, at+1)
	}
	delete(m.byID, d.id)
	delete(m.byAlias, d.alias)
	delete(m.dirty, d)
	m.work.Remove(&d.watch.task)
	d.announce()
	r := m.removals[d.id]
	if r == nil {
		r = m.newRemoval(d.id, d.serial, cancel, true)
		m.removals[d.id] = r
	}
	if cancel && !r.cancel {
		r.cancelAt = time.Now() // the server has already accepted the cancelling
	}
	r.del, r.of, r.until = true, d, d.unseenUntil()
	m.work.Set(&r.task, time.Now(), schedule.Chore)
	m.endParts(d)
}
