package share

import (
	"slices"
	"time"

	"downloadfs/download"
)

// The list of downloads is a log. Each record has a number, and only one mount can
// write the record of a number. So all mounts read the same records in the same order,
// and come to the same list. What contradicts the list so far, such as a name that is
// taken, has no effect, on all of them.

// The kinds of change.
const (
	opAdd    = "add"    // a download was made, or adopted
	opName   = "name"   // it was renamed
	opRemove = "remove" // it was removed
	opState  = "state"  // the content server tells something new of it
	opLook   = "look"   // somebody waits for it
	opLead   = "lead"   // a mount asks the content server for all from now on
	opParts  = "parts"  // it comes in parts, and this is how far they are
)

// record is what a mount writes at once.
type record struct {
	V       int      `json:"v"`
	Log     string   `json:"log"` // which log it belongs to; see roll.Log
	By      string   `json:"by"`  // the run of a mount
	Changes []change `json:"changes,omitempty"`
}

const recordVersion = 1

type change struct {
	Op    string            `json:"op"`
	ID    download.ID       `json:"id,omitempty"`
	Name  string            `json:"name,omitempty"`  // the alias, "" for none
	Nodes []download.NodeID `json:"nodes,omitempty"` // of opAdd
	Many  int               `json:"many,omitempty"`  // how many are in an object of their own
	At    time.Time         `json:"at,omitzero"`     // when it was created
	State *state            `json:"state,omitempty"` // of opParts, nil: nobody gets them
	// Over is the number of the last record by the mount that opLead takes over from.
	Over uint64 `json:"over,omitempty"`
	// Leave: whoever asked for all no longer does.
	Leave bool `json:"leave,omitempty"`
}

// state is what the content server says of a download.
type state struct {
	Status     download.Status `json:"status"`
	BytesAdded int64           `json:"bytesAdded,omitempty"`
	TotalBytes int64           `json:"totalBytes,omitempty"`
	FilesAdded int64           `json:"filesAdded,omitempty"`
	TotalFiles int64           `json:"totalFiles,omitempty"`
	Archive    *archiveState   `json:"archive,omitempty"`
}

type archiveState struct {
	Name       string    `json:"name"`
	Size       int64     `json:"size"`
	ModifiedAt time.Time `json:"modifiedAt,omitzero"`
}

// stateOf returns what the content server says of a download.
func stateOf(l *download.Listed) *state {
	s := &state{Status: l.Status, BytesAdded: l.BytesAdded, TotalBytes: l.TotalBytes, FilesAdded: l.FilesAdded, TotalFiles: l.TotalFiles}
	if l.Archive != nil && l.Status == download.StatusDone {
		s.Archive = &archiveState{l.Archive.Name, l.Archive.Size, l.Archive.ModifiedAt.UTC().Round(0)}
	}
	return s
}

func (s *state) same(o *state) bool {
	if s == nil || o == nil {
		return s == o
	}
	a, b := *s, *o
	a.Archive, b.Archive = nil, nil
	if a != b || (s.Archive == nil) != (o.Archive == nil) {
		return false
	}
	return s.Archive == nil || s.Archive.Size == o.Archive.Size && s.Archive.Name == o.Archive.Name
}

func (s *state) progress(id download.ID) download.Progress {
	return download.Progress{ID: id, Status: s.Status, BytesAdded: s.BytesAdded, TotalBytes: s.TotalBytes, FilesAdded: s.FilesAdded, TotalFiles: s.TotalFiles}
}

func (s *state) archive(id download.ID) *download.ArchiveInfo {
	if s.Archive == nil {
		return nil
	}
	return &download.ArchiveInfo{ID: id, Name: s.Archive.Name, Size: s.Archive.Size, ModifiedAt: s.Archive.ModifiedAt}
}

// entry is a download in the list.
type entry struct {
	ID    download.ID       `json:"id"`
	Name  string            `json:"name,omitempty"`
	Nodes []download.NodeID `json:"nodes,omitempty"`
	Many  int               `json:"many,omitempty"`
	At    time.Time         `json:"at,omitzero"`
	State *state            `json:"state,omitempty"`
	// Parts is how far its parts are that one mount gets for all: DONE with the archive
	// that they make, TooLarge if that has no place in the store, or CANCELLED. It is
	// nil if nobody gets them, or if the content server zips all at once.
	Parts *state `json:"parts,omitempty"`
}

// maxRemoved is how many removals are remembered. A mount that was away for longer
// lists again what it has and others have removed.
const maxRemoved = 20000

// roll is the list after a number of records.
type roll struct {
	V   int    `json:"v"`
	Seq uint64 `json:"seq"` // the last record
	// Log is the random name that the log got with its first record. If somebody
	// empties the store, the records of the next log have the same numbers.
	Log     string        `json:"log"`
	Entries []*entry      `json:"entries"`
	Removed []download.ID `json:"removed,omitempty"` // the latest last
	// Leader is the run of the mount that asks the content server, and LeaderSeq its
	// last record.
	Leader    string `json:"leader,omitempty"`
	LeaderSeq uint64 `json:"leaderSeq,omitempty"`

	byID    map[download.ID]*entry
	byName  map[string]*entry
	removed map[download.ID]bool
}

func newRoll() *roll {
	r := &roll{V: recordVersion}
	r.index()
	return r
}

// other reports whether a record is of another log.
func (r *roll) other(rec record) bool {
	return rec.Log != "" && r.Log != "" && rec.Log != r.Log
}

// sound reports whether a roll that was read can be one: each download is there once,
// and so is each name.
func (r *roll) sound() bool {
	ids, names := make(map[download.ID]bool), make(map[string]bool)
	for _, e := range r.Entries {
		if e == nil || ids[e.ID] || e.Name != "" && names[e.Name] {
			return false
		}
		if _, err := download.ParseID(string(e.ID)); err != nil {
			return false
		}
		ids[e.ID], names[e.Name] = true, true
	}
	return true
}

// index makes the maps, after the roll was read.
func (r *roll) index() {
	r.byID, r.byName, r.removed = make(map[download.ID]*entry), make(map[string]*entry), make(map[download.ID]bool)
	for _, e := range r.Entries {
		r.byID[e.ID] = e
		if e.Name != "" {
			r.byName[e.Name] = e
		}
	}
	for _, id := range r.Removed {
		r.removed[id] = true
	}
}

// apply takes in the next record, and reports the downloads that changed and those that
// somebody waits for.
func (r *roll) apply(rec record) (changed, looked []download.ID) {
	r.Seq++
	if r.Log == "" {
		r.Log = rec.Log
	}
	for _, c := range rec.Changes {
		switch c.Op {
		case opLead:
			r.lead(rec.By, c)
			continue
		case opLook:
			looked = append(looked, c.ID)
			continue
		}
		if r.change(c) {
			changed = append(changed, c.ID)
		}
	}
	if rec.By == r.Leader {
		r.LeaderSeq = r.Seq
	}
	return changed, looked
}

func (r *roll) lead(by string, c change) {
	switch {
	case c.Leave && by == r.Leader:
		r.Leader, r.LeaderSeq = "", 0
	case c.Leave:
	case r.Leader == "", r.LeaderSeq == c.Over:
		r.Leader = by // nobody has heard of the other since
	}
}

// change applies one change to a download. It reports whether that had an effect.
func (r *roll) change(c change) bool {
	if _, err := download.ParseID(string(c.ID)); err != nil {
		return false
	}
	e := r.byID[c.ID]
	switch {
	case c.Op == opAdd && e == nil:
		if other := r.byName[string(c.ID)]; other != nil {
			r.name(other, "")
		}
		e = &entry{ID: c.ID, Nodes: c.Nodes, Many: c.Many, At: c.At, State: c.State}
		r.Entries = append(r.Entries, e)
		r.byID[c.ID] = e
		if r.removed[c.ID] {
			delete(r.removed, c.ID)
			r.Removed = slices.DeleteFunc(r.Removed, func(id download.ID) bool { return id == c.ID })
		}
		r.name(e, c.Name)
	case e == nil:
		return false
	case c.Op == opName:
		return r.name(e, c.Name)
	case c.Op == opRemove:
		r.name(e, "")
		delete(r.byID, c.ID)
		r.Entries = slices.DeleteFunc(r.Entries, func(o *entry) bool { return o == e })
		r.removed[c.ID] = true
		if r.Removed = append(r.Removed, c.ID); len(r.Removed) > maxRemoved {
			delete(r.removed, r.Removed[0])
			r.Removed = r.Removed[1:]
		}
	case c.Op == opState && c.State != nil && !e.State.same(c.State):
		e.State = c.State
	case c.Op == opParts && !e.Parts.same(c.State) && !e.over(c.State):
		e.Parts = c.State
	default:
		return false
	}
	return true
}

// over reports whether nothing more can be told of e's parts. They may have been made
// once more, though, after the store has lost what they made.
func (e *entry) over(next *state) bool {
	return e.Parts != nil && (e.Parts.Status == download.StatusCancelled ||
		e.Parts.Status == download.StatusDone && (next == nil || next.Status != download.StatusDone))
}

// name gives e a name, unless that is another's.
func (r *roll) name(e *entry, name string) bool {
	if name == string(e.ID) {
		name = ""
	}
	if other := r.byID[download.ID(name)]; name == e.Name || r.byName[name] != nil || other != nil {
		return false
	}
	if e.Name != "" {
		delete(r.byName, e.Name)
	}
	if e.Name = name; name != "" {
		r.byName[name] = e
	}
	return true
}
