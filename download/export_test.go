package download

// Unlocked reports whether nobody holds the Manager's lock. It frees a lock that was
// left locked, so that the test can end.
func (m *Manager) Unlocked() bool {
	unlocked := m.mu.TryLock()
	m.mu.Unlock()
	return unlocked
}
