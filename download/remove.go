package download

import (
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Discard is what unlinking archive.zip does. A running download is cancelled:
// it is CANCELLED at once, its waiters get ErrCancelled, and the server is told
// in the background, after a restart too. It stays CANCELLED even if the server
// was faster and ends DONE; the counters that the server reaches are taken over.
// Of an ended one the local copy is dropped and not fetched again in the
// background. An error means that nothing has changed.
func (m *Manager) Discard(d *Download) error {
	m.mu.Lock()
	if d.removed {
		m.mu.Unlock()
		return fmt.Errorf("discard %s: %w", d.id, ErrNotFound)
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

	err := m.journal.update(func(tx *bolt.Tx) error {
		m.mu.Lock()
		rec, gone := d.record(), d.removed
		m.mu.Unlock()
		if gone {
			return nil
		}
		if err := put(tx, bucketRemovals, d.serial, removalRecord{V: recordVersion, ID: d.id, Cancel: true}); err != nil {
			return err
		}
		return put(tx, bucketDownloads, d.serial, rec)
	})

	m.mu.Lock()
	defer m.unlock()
	if err != nil {
		if !d.removed {
			d.progress.Status, d.cancelled, d.dropped, d.settled = old, false, false, false
			m.schedule(d)
		}
		return fmt.Errorf("discard %s: %w", d.id, err)
	}
	if d.removed {
		return nil
	}
	d.changedAt = time.Now()
	m.transition(d, old)
	d.watch.forecast.start(d.changedAt, 0)
	m.schedule(d)
	r := m.newRemoval(d.id, d.serial, true, false)
	r.of = d
	m.removals[d.id] = r
	m.work.set(&r.task, time.Now(), true)
	return nil
}

// Remove is what removing the directory does: the download is gone from the
// list and the journal when Remove returns, its waiters get ErrCancelled, and
// cancelling and deleting it on the server is retried in the background, after
// a restart too. Handles that are open keep working; the server's copy is
// deleted after the last of them is closed. An error means that nothing has
// changed.
func (m *Manager) Remove(d *Download) error {
	m.mu.Lock()
	if d.removed {
		m.mu.Unlock()
		return fmt.Errorf("remove %s: %w", d.id, ErrNotFound)
	}
	d.removed = true // nothing journals it any more
	cancel := !d.progress.Status.Ended() || d.cancelled && !d.settled
	onServer := d.progress.Status != StatusExpired
	m.mu.Unlock()

	err := m.journal.update(func(tx *bolt.Tx) error {
		for _, bucket := range [][]byte{bucketDownloads, bucketNodes, bucketRemovals} {
			if err := tx.Bucket(bucket).Delete(serialKey(d.serial)); err != nil {
				return err
			}
		}
		if !onServer {
			return nil
		}
		return put(tx, bucketRemovals, d.serial, removalRecord{V: recordVersion, ID: d.id, Cancel: cancel, Delete: true})
	})

	m.mu.Lock()
	if err != nil {
		d.removed = false
		m.save(d)
		m.schedule(d)
		m.mu.Unlock()
		return fmt.Errorf("remove %s: %w", d.id, err)
	}
	if at, ok := slices.BinarySearchFunc(m.list, d.serial, bySerial); ok {
		m.list = slices.Delete(m.list, at, at+1)
	}
	delete(m.byID, d.id)
	delete(m.byAlias, d.alias)
	delete(m.dirty, d)
	m.work.remove(&d.watch.task)
	d.announce()
	if onServer {
		r := m.removals[d.id]
		if r == nil {
			r = m.newRemoval(d.id, d.serial, cancel, true)
			m.removals[d.id] = r
		}
		if cancel && !r.cancel {
			r.cancelAt = time.Now() // the cancelling was accepted already
		}
		r.del, r.of = true, d
		m.work.advance(&r.task, time.Now())
	}
	m.mu.Unlock()
	m.log.Info("download removed", "op", "remove", "download", d.id)

	if err := m.archives.Drop(d.id); err != nil {
		m.log.Warn("cached archive not dropped", "op", "remove", "download", d.id, "err", err)
	}
	return nil
}

// Rename gives the download's directory another name. ErrExists when it is
// taken, ErrInvalid when it cannot be a name. An error means that nothing has
// changed.
func (m *Manager) Rename(d *Download, name string) error {
	if err := checkName(name, d.id); err != nil {
		return fmt.Errorf("rename %s: %w", d.id, err)
	}
	m.mu.Lock()
	if d.removed {
		m.mu.Unlock()
		return fmt.Errorf("rename %s: %w", d.id, ErrNotFound)
	}
	old := d.name()
	if err := m.take(d, name); err != nil {
		m.mu.Unlock()
		return fmt.Errorf("rename %s: %w", d.id, err)
	}
	m.mu.Unlock()
	err := m.journal.update(func(tx *bolt.Tx) error {
		m.mu.Lock()
		rec, gone := d.record(), d.removed
		m.mu.Unlock()
		if gone {
			return nil
		}
		return put(tx, bucketDownloads, d.serial, rec)
	})
	if err == nil {
		m.log.Info("download renamed", "op", "rename", "download", d.id, "name", name)
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.name() == name && m.take(d, old) != nil {
		m.save(d) // somebody took the old name; keep the new one
		return nil
	}
	return fmt.Errorf("rename %s: %w", d.id, err)
}

// take gives d a name that is free. m.mu is held.
func (m *Manager) take(d *Download, name string) error {
	other := m.byAlias[name]
	if other == nil {
		other = m.byID[ID(name)]
	}
	if other != nil && other != d || m.reserved[ID(name)] {
		return fmt.Errorf("name %s: %w", quoteEntry(name), ErrExists)
	}
	delete(m.byAlias, d.alias)
	if d.alias = name; name == string(d.id) {
		d.alias = ""
	} else {
		m.byAlias[name] = d
	}
	return nil
}
