package share

import (
	"slices"

	"downloadfs/download"
)

// known is what a mount and the shared list had in common when they last met: the alias
// of each download. What this mount's list has changed since then, its user did; what
// the shared list has changed, others did.
type known map[download.ID]string

// steps are what brings a mount's list and the shared one together.
type steps struct {
	publish []change      // what the user did here
	enlist  []*entry      // what others did
	rename  []*entry      // to the entry's name
	remove  []download.ID // from here
	supply  []*entry      // how far the parts are that another mount gets
	cancel  []*entry      // it was cancelled while another mount got the parts
}

// merge compares a mount's downloads with the shared list. first says that the mount
// has just been started, so that it knows nothing of before.
func merge(base known, local []download.Listed, r *roll, first bool) (s steps) {
	here := make(map[download.ID]bool, len(local))
	for i := range local {
		l := &local[i]
		here[l.ID] = true
		e, was := r.byID[l.ID], false
		before, was := base[l.ID]
		if e != nil && e.Parts != nil {
			s.parts(l, e)
		}
		switch {
		case e == nil && r.removed[l.ID] && (was || first):
			s.remove = append(s.remove, l.ID)
		case e == nil:
			s.publish = append(s.publish, added(l))
		case l.Name == e.Name:
		case was && l.Name != before, !was && e.Name == "":
			s.publish = append(s.publish, change{Op: opName, ID: l.ID, Name: l.Name})
		default:
			s.rename = append(s.rename, e)
		}
	}
	for _, e := range r.Entries {
		if here[e.ID] {
			continue
		}
		if _, was := base[e.ID]; was {
			s.publish = append(s.publish, change{Op: opRemove, ID: e.ID})
		} else {
			s.enlist = append(s.enlist, e)
		}
	}
	return s
}

// parts adds what the parts of a download need that another mount gets.
func (s *steps) parts(l *download.Listed, e *entry) {
	here, inParts := l.Progress, l.Parts.Status != ""
	if inParts {
		here = l.Parts
	}
	ended := here.Status.Ended()
	switch e.Parts.Status {
	case download.StatusDone:
		lost := here.Status == download.StatusExpired && inParts // of the copy that was here
		if !ended || lost || here.Status == download.StatusTooLarge {
			s.supply = append(s.supply, e)
		}
	case download.StatusCancelled:
		if inParts && !ended {
			s.cancel = append(s.cancel, e)
		}
	case download.StatusPending, download.StatusInProgress:
		if inParts && !ended && here != e.Parts.progress(e.ID) {
			s.supply = append(s.supply, e)
		}
	}
}

func added(l *download.Listed) change {
	c := change{Op: opAdd, ID: l.ID, Name: l.Name, At: l.CreatedAt.UTC().Round(0), State: stateOf(l)}
	if c.Many = len(l.Nodes); c.Many <= maxNodes {
		c.Many, c.Nodes = 0, slices.Clone(l.Nodes)
	}
	return c
}

// published notes that the others have been told.
func (b known) published(changes []change) {
	for _, c := range changes {
		switch c.Op {
		case opAdd, opName:
			b[c.ID] = c.Name
		case opRemove:
			delete(b, c.ID)
		}
	}
}
