package download

import (
	"context"
	"errors"
	"fmt"
	"time"

	"downloadfs/download/schedule"
)

// Create resolves the list's paths, asks the server for the download and journals it
// before it returns. If ctx ends first, Create returns ctx.Err() and the work goes on;
// LastOutcome then tells its outcome. An empty list is ErrInvalid.
func (m *Manager) Create(ctx context.Context, l List) (*Download, error) {
	return m.own(ctx, func() (*Download, error) {
		d, err := m.create(l)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.outcome = outcome{err: err}
		if err == nil {
			m.outcome.id = d.id
		}
		return d, err
	})
}

// LastOutcome returns the outcome of the latest Create that finished: the download's
// id, or the error. Both are zero before the first.
func (m *Manager) LastOutcome() (ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.outcome.id, m.outcome.err
}

// own does work in a goroutine of the manager. The caller waits for it no longer than
// ctx.
func (m *Manager) own(ctx context.Context, work func() (*Download, error)) (*Download, error) {
	type result struct {
		d   *Download
		err error
	}
	done := make(chan result, 1)
	if err := m.start(func() {
		d, err := work()
		done <- result{d, err}
	}); err != nil {
		return nil, err
	}
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.posting.Done():
		r = <-done // at once: the manager is closed, which ends all that work waits for
	}
	if m.ctx.Err() != nil && errors.Is(r.err, context.Canceled) {
		return nil, errUnmounting
	}
	return r.d, r.err
}

func (m *Manager) create(l List) (*Download, error) {
	if len(l.Entries) == 0 {
		return nil, fmt.Errorf("create download of nothing: %w", ErrInvalid)
	}
	select {
	case m.posts <- struct{}{}:
		defer func() { <-m.posts }()
	case <-m.ctx.Done():
		return nil, errUnmounting
	}
	if err := m.refuseDownloads(l); err != nil {
		return nil, err
	}
	nodes, err := m.resolve(l)
	if err != nil {
		return nil, err
	}
	if err := m.checkSizes(nodes); err != nil {
		return nil, err
	}
	if m.ctx.Err() != nil {
		return nil, errUnmounting
	}
	var p Progress
	began := time.Now()
	err = m.call("create", "", func() (err error) {
		p, err = m.service.Create(m.posting, nodes)
		return err
	})
	m.note(err, began)
	if err != nil {
		return nil, err // the service's errors begin with verb and subject
	}

	// From here to the journal's commit, a crash leaves a download on the server that
	// is not listed here. Nobody has been told of it, and the server's cleaner deletes
	// it within two hours.
	id := p.ID
	if err := checkAnswer(p, id); err != nil {
		return nil, fmt.Errorf("create download: %w", err)
	}
	if err := m.reserve(id); err != nil {
		return nil, Because(ErrProtocol, "create download: the server answered with the id of another download (%v)", err)
	}
	d := m.newDownload(id, nodes)
	d.createdAt = time.Now()
	d.changedAt = d.createdAt
	d.progress = beforeDone(p)
	if err := m.enlist(d); err != nil {
		m.takeBack(id)
		return nil, fmt.Errorf("create download: %w", err)
	}
	m.log.Info("download created", "op", "create", "download", id, "state", d.progress.Status, "len", len(nodes))
	return d, nil
}

// beforeDone hides that a download is DONE. Only a poll announces that, since it also
// learns the archive's size.
func beforeDone(p Progress) Progress {
	if p.Status == StatusDone {
		p.Status = StatusInProgress
	}
	return p
}

// takeBack undoes a Create that could not be journaled.
func (m *Manager) takeBack(id ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.reserved, id)
	r := m.newRemoval(id, 0, true, true)
	r.until = time.Now().Add(unseenTime)
	m.removals[id] = r
	m.work.Set(&r.task, time.Now(), schedule.Chore)
}

// note tells the server's state the outcome of a request that is not a poll. Only
// answers count: the caller has been told of a failure.
func (m *Manager) note(err error, began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && !isAny(err, ErrNotFound, ErrForbidden, ErrInvalid, ErrConflict, ErrArchived) {
		return
	}
	now := time.Now()
	if m.server.heard(err, began, now) {
		m.announceAll()
	}
	m.work.SetHold(time.Time{})
}

// refuseDownloads fails when an entry is the id of a download listed here instead of
// the id of a node.
func (m *Manager) refuseDownloads(l List) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range l.Entries {
		if d := m.byID[ID(e.Node)]; d != nil {
			return Because(ErrInvalid, "%s is a download, not a node; write the ids of nodes, or those in its file nodes to ask again", d.id)
		}
	}
	return nil
}
