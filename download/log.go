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

// unlock unlocks m.mu and writes the log records that were collected while it was held.
func (m *Manager) unlock() {
	records := m.unlogged
	m.unlogged = nil
	m.mu.Unlock()
	for _, r := range records {
		m.log.Log(context.Background(), r.level, r.msg, r.args...)
	}
}
