package download

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/split"
)

// planRecord is the journal's record of how a download is got in parts.
type planRecord struct {
	V      int           `json:"v"`
	Limit  int64         `json:"limit"`
	Name   string        `json:"name"`
	Pieces []pieceRecord `json:"pieces"`
}

type pieceRecord struct {
	Key      uint32     `json:"key"`
	Kind     split.Kind `json:"kind"`
	Path     string     `json:"path,omitempty"`
	Nodes    []NodeID   `json:"nodeIds,omitempty"`
	Bytes    int64      `json:"bytes"`
	Files    int64      `json:"files"`
	Modified time.Time  `json:"modifiedAt,omitzero"`
}

// partRecord is the journal's record of how far a piece has been got.
type partRecord struct {
	V   int    `json:"v"`
	Of  uint64 `json:"of"` // serial of the download
	Key uint32 `json:"key"`
	// ID is the id of a zip on the server, or the name of a file in the cache.
	ID ID `json:"id"`
	// Fetched: the piece is in the cache, and only there.
	Fetched bool           `json:"fetched,omitempty"`
	Archive *archiveRecord `json:"archive,omitempty"`
	Bytes   int64          `json:"bytes,omitempty"`
	Files   int64          `json:"files,omitempty"`
	CRC     uint32         `json:"crc,omitempty"`
}

// journalPlan journals d's plan.
func (m *Manager) journalPlan(d *Download) error {
	err := m.journal.Update(func(tx journal.Tx) error {
		var over bool
		var rec downloadRecord
		var plan planRecord
		m.locked(func() { over, rec, plan = d.removed || d.cancelled, d.record(), d.parts.record() })
		if over {
			return nil
		}
		if err := tx.Put(journal.Plans, d.serial, plan); err != nil {
			return err
		}
		return tx.Put(journal.Downloads, d.serial, rec)
	})
	if err != nil {
		return fmt.Errorf("get %s in parts: %w", d.id, err)
	}
	return nil
}

// record returns the journal's record of the plan. Manager.mu is held.
func (a *assembly) record() planRecord {
	plan := planRecord{V: recordVersion, Limit: a.limit, Name: a.name, Pieces: make([]pieceRecord, len(a.pieces))}
	for i, p := range a.pieces {
		nodes := make([]NodeID, len(p.Nodes))
		for j, id := range p.Nodes {
			nodes[j] = NodeID(id)
		}
		plan.Pieces[i] = pieceRecord{p.key, p.Kind, p.Path, nodes, p.Bytes, p.Files, p.Modified}
	}
	return plan
}

// record returns the journal's record of p, a piece of the download whose serial is of.
func (p *piece) record(of uint64) partRecord {
	r := partRecord{V: recordVersion, Of: of, Key: p.key, ID: p.id, Fetched: p.fetched}
	if p.fetched {
		r.Archive = &archiveRecord{Name: p.archive.Name, Size: p.archive.Size, ModifiedAt: p.archive.ModifiedAt}
		r.Bytes, r.Files, r.CRC = p.progress.BytesAdded, p.progress.FilesAdded, p.crc
	}
	return r
}

func decodePlan(b []byte) (*assembly, error) {
	var r planRecord
	if err := journal.Decode(b, maxNodesBytes, &r); err != nil {
		return nil, err
	}
	if r.V != recordVersion {
		return nil, fmt.Errorf("record version %d is unknown", r.V)
	}
	if r.Limit <= 0 || r.Name != safeFileName(r.Name) {
		return nil, errors.New("plan is impossible")
	}
	a := newAssembly(r.Limit)
	a.name = r.Name
	seen := make(map[uint32]bool)
	for _, p := range r.Pieces {
		q := piece{key: p.Key, Piece: split.Piece{Kind: p.Kind, Path: p.Path, Bytes: p.Bytes, Files: p.Files, Modified: p.Modified}}
		for _, id := range p.Nodes {
			if !id.Valid() {
				return nil, fmt.Errorf("node id %.64q is impossible", string(id))
			}
			q.Nodes = append(q.Nodes, string(id))
		}
		ok := p.Bytes >= 0 && p.Files >= 0 && p.Key != 0 && !seen[p.Key]
		switch p.Kind {
		case split.Part:
			ok = ok && len(p.Nodes) > 0 && (p.Path == "" || strings.HasSuffix(p.Path, "/"))
		case split.File:
			ok = ok && len(p.Nodes) == 1 && p.Path != ""
		case split.Folder:
			ok = ok && len(p.Nodes) == 0 && p.Path != ""
		default:
			ok = false
		}
		if !ok {
			return nil, errors.New("piece is impossible")
		}
		seen[p.Key] = true
		a.keys = max(a.keys, p.Key)
		a.pieces = append(a.pieces, &q)
	}
	return a, nil
}

func decodePart(b []byte) (partRecord, error) {
	var r partRecord
	if err := journal.Decode(b, maxRecordBytes, &r); err != nil {
		return partRecord{}, err
	}
	if r.V != recordVersion {
		return partRecord{}, fmt.Errorf("record version %d is unknown", r.V)
	}
	if _, err := ParseID(string(r.ID)); err != nil {
		return partRecord{}, err
	}
	if r.Fetched != (r.Archive != nil) || r.Fetched && r.Archive.Size < 0 || r.Bytes < 0 || r.Files < 0 {
		return partRecord{}, errors.New("part is impossible")
	}
	return r, nil
}

// restorePart takes over what the journal knows of a piece and reports whether the plan
// has that piece.
func (a *assembly) restorePart(serial uint64, r partRecord) bool {
	for _, p := range a.pieces {
		if p.key != r.Key || p.Kind == split.Folder || p.serial != 0 {
			continue
		}
		p.serial, p.id, p.fetched, p.crc = serial, r.ID, r.Fetched, r.CRC
		if r.Fetched {
			p.archive = ArchiveInfo{ID: r.ID, Name: r.Archive.Name, Size: r.Archive.Size, ModifiedAt: r.Archive.ModifiedAt}
			if p.Kind == split.File {
				p.archive.Node = NodeID(p.Nodes[0])
			}
			p.progress = Progress{ID: r.ID, Status: StatusDone, BytesAdded: r.Bytes, TotalBytes: r.Bytes, FilesAdded: r.Files, TotalFiles: r.Files}
		}
		return true
	}
	return false
}
