package download

import (
	"context"
	"fmt"
	"time"
)

// Adopt takes over a download that was made elsewhere. ErrNotFound when the
// server does not know it, ErrInvalid when it is another kind of node,
// ErrExists when it is here already. When ctx ends first the work goes on.
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
	var p Progress
	began := time.Now()
	err = m.call("adopt", id, func() (err error) {
		p, err = m.service.Get(m.ctx, id)
		return err
	})
	m.note(err, began)
	if err == nil {
		err = checkAnswer(p, id)
	}
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w", id, err)
	}
	d = m.newDownload(id, nil)
	d.createdAt = time.Now()
	d.changedAt = d.createdAt
	d.progress = beforeDone(p)
	d.settled = d.progress.Status.Ended()
	if err := m.enlist(d); err != nil {
		return nil, fmt.Errorf("adopt %s: %w", id, err)
	}
	m.log.Info("download adopted", "op", "adopt", "download", id, "state", d.progress.Status)
	return d, nil
}
