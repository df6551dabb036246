package download

import (
	"maps"
	"slices"
	"time"

	"downloadfs/download/journal"
)

// save has d's state journaled soon. If it must be durable before a caller goes on,
// that caller journals it instead. m.mu is held.
func (m *Manager) save(d *Download) {
	m.dirty[d] = struct{}{}
	select {
	case m.unsaved <- struct{}{}:
	default:
	}
}

// putRecord puts d's record as it is now into a transaction, after what also puts. It
// puts nothing if d was removed: what Remove has journaled stays.
func (m *Manager) putRecord(tx journal.Tx, d *Download, also func() error) error {
	var rec downloadRecord
	var removed bool
	m.locked(func() { rec, removed = d.record(), d.removed })
	if removed {
		return nil
	}
	if also != nil {
		if err := also(); err != nil {
			return err
		}
	}
	return tx.Put(journal.Downloads, d.serial, rec)
}

// saver journals the downloads that changed, many in one transaction, until Close, and
// then those that are left. It retries when the journal cannot be written, for example
// because the disk is full. Only the memory of a transition would be lost, and the next
// poll brings that back.
func (m *Manager) saver() {
	const slowest = time.Minute
	for wait := time.Second; ; {
		select {
		case <-m.unsaved:
		case <-m.ctx.Done():
			_ = m.flush()
			return
		}
		err := m.flush()
		if err == nil {
			wait = time.Second
			continue
		}
		m.log.Warn("the journal cannot be written; trying again", "op", "journal", "err", err)
		select {
		case <-time.After(wait):
			wait = min(2*wait, slowest)
		case <-m.ctx.Done():
		}
	}
}

// flush journals all downloads that changed. After an error they stay marked.
func (m *Manager) flush() error {
	m.mu.Lock()
	changed := slices.Collect(maps.Keys(m.dirty))
	clear(m.dirty)
	m.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	err := m.journal.Update(func(tx journal.Tx) error {
		for _, d := range changed {
			if err := m.putRecord(tx, d, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range changed {
		if !d.removed {
			m.save(d)
		}
	}
	return err
}
