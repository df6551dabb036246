package download

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/split"
	"downloadfs/zipfile"
)

// viewParts returns the one zip made of a's pieces, which are all in the cache.
func (m *Manager) viewParts(ctx context.Context, a *assembly) (*zipfile.Stitched, error) {
	select {
	case a.viewing <- struct{}{}:
		defer func() { <-a.viewing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var view *zipfile.Stitched
	var pieces []zipfile.Piece
	m.locked(func() { view, pieces = a.view, a.sources() })
	if view != nil {
		return view, nil
	}
	view, err := zipfile.Stitch(ctx, pieces)
	if err != nil {
		return nil, fmt.Errorf("put the parts together: %w", err)
	}
	m.mu.Lock()
	a.view = view
	m.mu.Unlock()
	return view, nil
}

// sources returns the pieces as they are in the cache. Manager.mu is held.
func (a *assembly) sources() []zipfile.Piece {
	pieces := make([]zipfile.Piece, len(a.pieces))
	for i, p := range a.pieces {
		pieces[i] = zipfile.Piece{Path: p.Path, Size: p.archive.Size, CRC: p.crc, Modified: p.Modified}
		switch p.Kind {
		case split.Part:
			pieces[i].Zip = pinned{a.pins[p.key]}
		case split.File:
			pieces[i].File = pinned{a.pins[p.key]}
			if !p.archive.ModifiedAt.IsZero() {
				pieces[i].Modified = p.archive.ModifiedAt
			}
		}
	}
	return pieces
}

// openParts opens the one zip.
func (m *Manager) openParts(a *assembly, info ArchiveInfo) (Archive, error) {
	view, err := m.viewParts(m.ctx, a)
	if err != nil {
		return nil, err
	}
	if view.Size() != info.Size {
		return nil, fmt.Errorf("the parts make %d bytes, and made %d before: %w", view.Size(), info.Size, ErrChanged)
	}
	return stitchedArchive{view}, nil
}

// stitchedArchive is an open archive that was got in parts.
type stitchedArchive struct{ view *zipfile.Stitched }

var _ Archive = stitchedArchive{}

// ReadAt implements Archive.
func (s stitchedArchive) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	return s.view.ReadAt(ctx, p, off)
}

// File implements Archive: the zip is in no file.
func (stitchedArchive) File(int64, int64) (*os.File, bool) { return nil, false }

// Close implements Archive.
func (stitchedArchive) Close() error { return nil }

// pinParts makes the cache keep what was fetched before this mount. A piece that is not
// there any more is asked for again, unless the download was DONE: then the archive
// that was seen is gone. No goroutine runs yet.
func (m *Manager) pinParts(d *Download) {
	a := d.parts
	lost := len(a.pieces) == 0 && d.progress.Status == StatusDone
	for _, p := range a.pieces {
		if !p.fetched {
			lost = lost || p.Kind != split.Folder && d.progress.Status == StatusDone
			continue
		}
		h, err := m.archives.Open(p.archive)
		if err == nil && (p.archive.Size == 0 || m.archives.Complete(p.archive.ID)) {
			a.pins[p.key] = h
			continue
		}
		if err == nil {
			_ = h.Close()
		}
		m.log.Warn("a part is not in the cache any more", "op", "parts", "download", d.id, "err", err)
		p.fetched, p.id, p.archive, p.progress, lost = false, "", ArchiveInfo{}, Progress{}, true
		// Its record says otherwise; it is written anew when the piece has been
		// fetched.
	}
	if lost && d.progress.Status == StatusDone {
		d.progress.Status = StatusExpired
		a.ended = true
		m.dirty[d] = struct{}{}
	}
}

// forgetParts takes d's parts out of the journal and has the server delete those that
// it still has. m.mu is not held.
func (m *Manager) forgetParts(tx journal.Tx, d *Download) error {
	m.mu.Lock()
	var pieces []piece
	none := d.parts == nil
	if !none {
		for _, p := range d.parts.pieces {
			if p.serial != 0 {
				pieces = append(pieces, *p)
			}
		}
	}
	m.mu.Unlock()
	if none {
		return nil
	}
	if err := tx.Delete(journal.Plans, d.serial); err != nil {
		return err
	}
	for _, p := range pieces {
		if err := tx.Delete(journal.Parts, p.serial); err != nil {
			return err
		}
		if p.Kind == split.Part && !p.fetched {
			if err := tx.Put(journal.Removals, p.serial, removalRecord{V: recordVersion, ID: p.id, Cancel: true, Delete: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// endParts ends d's assembly once forgetParts is on disk. m.mu is held; call letGo
// afterwards without it.
func (m *Manager) endParts(d *Download) {
	a := d.parts
	if a == nil || a.ended {
		return
	}
	a.ended = true
	if a.stop != nil {
		a.stop()
	}
	m.removeParts(a)
}

// removeParts has the server delete the parts that are not in the cache. m.mu is held.
func (m *Manager) removeParts(a *assembly) {
	for _, p := range a.pieces {
		if p.Kind == split.Part && p.serial != 0 && !p.fetched && m.removals[p.id] == nil {
			m.removePart(p.id, p.serial, true)
		}
	}
}

// letGo gives back what a has in the cache, if a has ended and nobody reads it any more.
// a may be nil. m.mu is not held.
func (m *Manager) letGo(a *assembly) {
	if a == nil {
		return
	}
	var pins []Archive
	var ids []ID
	m.locked(func() {
		if !a.ended || a.readers > 0 {
			return
		}
		for _, p := range a.pieces {
			if p.archive.ID != "" {
				ids = append(ids, p.archive.ID)
			}
		}
		for _, h := range a.pins {
			pins = append(pins, h)
		}
		clear(a.pins)
		a.view = nil
	})
	for _, id := range ids {
		if err := m.archives.Drop(id); err != nil {
			m.log.Warn("part not dropped from the cache", "op", "parts", "download", id, "err", err)
		}
	}
	for _, h := range pins {
		_ = h.Close()
	}
}

// cachedParts returns how many bytes of d's parts are in the cache.
func (m *Manager) cachedParts(d *Download) (n int64) {
	var ids []ID
	m.locked(func() {
		if d.parts == nil { // another mount has got it meanwhile
			return
		}
		for _, p := range d.parts.pieces {
			if p.archive.ID != "" {
				ids = append(ids, p.archive.ID)
			}
		}
	})
	for _, id := range ids {
		n += m.archives.Cached(id)
	}
	return n
}

// discardParts drops the only copy of an archive that was got in parts.
func (m *Manager) discardParts(d *Download) error {
	m.mu.Lock()
	old := d.progress.Status
	d.progress.Status, d.dropped = StatusExpired, true
	m.mu.Unlock()
	err := m.journal.Update(func(tx journal.Tx) error {
		return m.putRecord(tx, d, func() error { return m.forgetParts(tx, d) })
	})
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		d.progress.Status, d.dropped = old, false
		return fmt.Errorf("discard %s: %w", d.id, err)
	}
	var parts *assembly
	m.locked(func() {
		parts = d.parts
		m.endParts(d)
		d.changedAt = time.Now()
		m.transition(d, old)
	})
	m.letGo(parts)
	return nil
}

// closePins closes the pins that nobody reads. Open archives are read on until the cache
// is closed. No goroutine runs any more.
func (m *Manager) closePins() {
	var pins []Archive
	m.locked(func() {
		for _, d := range m.list {
			if d.parts != nil && d.parts.readers == 0 {
				pins = slices.AppendSeq(pins, maps.Values(d.parts.pins))
				clear(d.parts.pins)
			}
		}
	})
	for _, h := range pins {
		_ = h.Close()
	}
}
