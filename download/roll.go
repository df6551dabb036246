package download

import (
	"errors"
	"fmt"
	"time"
)

// Listed is a download as it is told to the mounts of other machines, and as they tell
// of theirs.
type Listed struct {
	Progress
	Name      string // the alias; "" while the directory's name is the id
	Nodes     []NodeID
	CreatedAt time.Time
	Archive   *ArchiveInfo // known once DONE; do not change it
	// Parts is how far the download is as its user sees it, if it comes in parts to this
	// mount, or to another; zero if it does not. Progress is then what the server says,
	// which is StatusTooLarge, and Archive is what the parts made.
	Parts Progress
}

// Roll appends all downloads to dst, oldest first. It makes no request. The nodes
// belong to the Manager.
func (m *Manager) Roll(dst []Listed) []Listed {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.list {
		if d.removed {
			continue
		}
		l := Listed{Progress: d.progress, Name: d.alias, Nodes: d.nodes, CreatedAt: d.createdAt, Archive: d.archive}
		switch {
		case d.parts != nil: // the server says no more of it than that
			l.Parts = d.progress
			l.Progress = Progress{ID: d.id, Status: StatusTooLarge, BytesAdded: d.parts.limit,
				TotalBytes: d.progress.TotalBytes, TotalFiles: d.progress.TotalFiles}
		case d.elsewhere != Progress{}:
			l.Parts, l.Progress = d.progress, d.elsewhere
		}
		dst = append(dst, l)
	}
	return dst
}

// Enlist lists and journals a download that another mount tells of, without asking the
// server. If its name is taken here, it is called by its id. Enlist returns ErrExists
// when the download is here already, ErrNotFound when it is being removed, and ErrInvalid when l is
// impossible.
func (m *Manager) Enlist(l Listed) (*Download, error) {
	if err := errors.Join(checkProgress(l.Progress, l.ID), l.check()); err != nil {
		return nil, fmt.Errorf("list: %w: %w", ErrInvalid, err)
	}
	if err := m.reserve(l.ID); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	d := m.newDownload(l.ID, l.Nodes)
	d.alias = m.reserveName(l.ID, l.Name)
	defer m.unreserve(ID(d.alias))
	d.createdAt, d.changedAt, d.progress = l.CreatedAt, time.Now(), l.Progress
	switch {
	case l.Status == StatusDone && l.Archive != nil:
		info := *l.Archive
		info.Name = safeFileName(info.Name)
		d.archive = &info
	default:
		// What has ended otherwise may have done so there only; the next poll tells.
		d.progress = beforeEnd(l.Progress)
	}
	d.watch.seen = true
	d.dropped = true // whoever made it fetches it; here it is read when somebody wants it
	if err := m.enlist(d); err != nil {
		m.unreserve(l.ID)
		return nil, fmt.Errorf("list %s: %w", l.ID, err)
	}
	return d, nil
}

// reserveName keeps an alias for a download that is about to be listed. It returns ""
// if it cannot have it.
func (m *Manager) reserveName(id ID, name string) string {
	if name == "" || name == string(id) || checkName(name, id) != nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byAlias[name] != nil || m.byID[ID(name)] != nil || m.reserved[ID(name)] {
		return ""
	}
	m.reserved[ID(name)] = true
	return name
}

func (l *Listed) check() error {
	for _, n := range l.Nodes {
		if !n.Valid() {
			return fmt.Errorf("node id %.64q is impossible", string(n))
		}
	}
	if a := l.Archive; a != nil && (a.ID != l.ID || a.Size <= 0 || a.Node != "") {
		return errors.New("archive is impossible")
	}
	return nil
}

// beforeEnd hides that a download has ended. Only a poll announces that.
func beforeEnd(p Progress) Progress {
	switch {
	case p.Status == StatusTooLarge: // its counters mean something else
		p.Status, p.BytesAdded = StatusPending, 0
	case p.Status.Ended():
		p.Status = StatusInProgress
	}
	return p
}

// leaveElsewhere takes in that d, which another mount made, is too large for one zip.
// It is got in parts on the mounts where somebody wants it. m.mu is held.
func (m *Manager) leaveElsewhere(d *Download, p Progress) {
	old := d.progress
	d.elsewhere, d.settled = p, true
	d.progress = Progress{ID: d.id, Status: StatusPending, TotalBytes: p.TotalBytes, TotalFiles: p.TotalFiles}
	if d.progress != old {
		d.changedAt = time.Now()
		m.transition(d, old.Status)
	}
}

// Answers reports whether the server has answered lately, and accepts the login.
func (m *Manager) Answers() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.server.failing() && m.server.refused == nil
}

// ByID returns the download with this id.
func (m *Manager) ByID(id ID) (*Download, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.byID[id]
	return d, d != nil
}
