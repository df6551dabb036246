package download

import "time"

// Census counts a Manager's downloads at one moment.
type Census struct {
	// ByStatus has every status, also those that no download is in.
	ByStatus map[Status]int
	// Waiters are the callers that wait for one of them to end.
	Waiters int
	// Removals are downloads that are removed here and still to be removed on the
	// server.
	Removals int
	// NoAnswerSince is since when the server has not answered; zero while it answers, and
	// when nothing was asked lately.
	NoAnswerSince time.Time
}

// statuses are all that a download can have.
var statuses = []Status{StatusPending, StatusInProgress, StatusDone, StatusCancelled, StatusTooLarge, StatusExpired}

// Census counts the downloads. It makes no request.
func (m *Manager) Census() Census {
	c := Census{ByStatus: make(map[Status]int, len(statuses))}
	for _, s := range statuses {
		c.ByStatus[s] = 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.list {
		c.ByStatus[d.progress.Status]++
	}
	for d := range m.waited {
		c.Waiters += d.waiters
	}
	c.Removals = len(m.removals)
	c.NoAnswerSince = m.server.silentSince(time.Now())
	return c
}
