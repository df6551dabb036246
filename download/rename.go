package download

import (
	"fmt"

	"downloadfs/download/journal"
)

// Rename gives the download's directory another name. It returns ErrExists when the
// name is taken, and ErrName or ErrNameText when no directory can have it. An error
// means that nothing has changed. If the journal cannot be written and the old name is
// taken by then, the download keeps the new name, which is journaled later.
func (m *Manager) Rename(d *Download, name string) error {
	if err := checkName(name, d.id); err != nil {
		return fmt.Errorf("rename %s: %w", d.id, err)
	}
	var old string
	var err error
	m.locked(func() {
		if d.removed {
			err = ErrNotFound
			return
		}
		old = d.name()
		err = m.take(d, name)
	})
	if err != nil {
		return fmt.Errorf("rename %s: %w", d.id, err)
	}
	err = m.journal.Update(func(tx journal.Tx) error { return m.putRecord(tx, d, nil) })
	if err == nil {
		m.log.Info("download renamed", "op", "rename", "download", d.id, "name", name)
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !d.removed && d.name() == name && m.take(d, old) != nil {
		m.save(d) // somebody took the old name; keep the new one
		return nil
	}
	return fmt.Errorf("rename %s: %w", d.id, err)
}

// take gives d the name, if it is free. m.mu is held.
func (m *Manager) take(d *Download, name string) error {
	other := m.byAlias[name]
	if other == nil {
		other = m.byID[ID(name)]
	}
	if other != nil && other != d || m.reserved[ID(name)] {
		return fmt.Errorf("name %s: %w", Quote(name), ErrExists)
	}
	delete(m.byAlias, d.alias)
	if d.alias = name; name == string(d.id) {
		d.alias = ""
	} else {
		m.byAlias[name] = d
	}
	m.change(d)
	return nil
}
