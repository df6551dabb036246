package download

import (
	"context"
	"log/slog"
)

// logRecord is a record that is written once Manager.mu is free again: a log that
// blocks must not stop everything.
type logRecord struct {
	level slog.Level
	msg   string
	args  []any
}

// logLater has the next unlock write a record. m.mu is held.
func (m *Manager) logLater(level slog.Level, msg string, args ...any) {
	m.unlogged = append(m.unlogged, logRecord{level, msg, args})
}

// tellLater has the next unlock tell that d has ended. m.mu is held.
func (m *Manager) tellLater(d *Download) {
	if m.ended != nil {
		m.untold = append(m.untold, d)
	}
}

// locked runs f while m.mu is held. If f panics, the lock is free all the same: whoever
// recovers the panic goes on, and so must everybody else.
func (m *Manager) locked(f func()) {
	m.mu.Lock()
	defer m.unlock()
	f()
}

// unlock unlocks m.mu, writes the log records that were collected while it was held,
// and tells of what has ended.
func (m *Manager) unlock() {
	records, ended := m.unlogged, m.untold
	m.unlogged, m.untold = nil, nil
	m.mu.Unlock()
	for _, r := range records {
		m.log.Log(context.Background(), r.level, r.msg, r.args...)
	}
	for _, d := range ended {
		m.ended(d.Snapshot())
	}
}
