package download

import (
	"context"
	"fmt"
	"time"
)

// Adopt takes over a download that was made elsewhere. It returns ErrNotFound when the
// server does not know the download, ErrInvalid when the id belongs to another kind of
// node, and ErrExists when the download is here already. If ctx ends first, the work
// goes on.
func (m *Manager) Adopt(ctx context.Context, id ID) (*Download, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	return m.own(ctx, func() (*Download, error) { return m.adopt(id) })
}

func (m *Manager) adopt(id ID) (d *Download, err error) {
	if err := m.reserve(id); err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	defer func() {
		if err != nil {
			m.unreserve(id)
		}
	}()
	p, err := m.find(id)
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w", id, err)
	}
	d = m.newDownload(id, nil)
	d.createdAt = time.Now()
	d.changedAt = d.createdAt
	d.progress = beforeDone(p)
	d.settled = d.progress.Status.Ended()
	d.watch.seen = true
	state := d.progress.Status
	if err := m.enlist(d); err != nil {
		return nil, fmt.Errorf("adopt %s: %w", id, err)
	}
	if p.Status == StatusDone { // its archive can be used after one more request
		m.locked(func() { m.work.Advance(&d.watch.task, time.Now()) })
	}
	m.log.Info("download adopted", "op", "adopt", "download", id, "state", state)
	return d, nil
}

// adoptPauses are the pauses before each further request for a download that the server
// does not know: it may have been made a moment ago, through another node of a cluster.
// They are short, since a user who lists the directory waits for mkdir.
var adoptPauses = []time.Duration{300 * time.Millisecond, 700 * time.Millisecond}

// find asks the server for a download to adopt.
func (m *Manager) find(id ID) (p Progress, err error) {
	for tries := 0; ; tries++ {
		began := time.Now()
		err = m.call("adopt", id, func() (err error) {
			p, err = m.service.Get(m.ctx, id)
			return err
		})
		m.note(err, began)
		if err == nil {
			return p, checkAnswer(p, id)
		}
		if !isAny(err, ErrNotFound, ErrForbidden) || tries == len(adoptPauses) {
			return p, err
		}
		pause := time.NewTimer(adoptPauses[tries])
		select {
		case <-pause.C:
		case <-m.ctx.Done():
			pause.Stop()
			return p, err
		}
	}
}
