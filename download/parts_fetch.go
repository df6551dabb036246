package download

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/split"
	"downloadfs/zipfile"
)

// fetchPart has the cache fetch the zip of a part, which is checked as it comes. A part
// that is damaged, has changed or is not there is given up; fetchPart then returns
// errAgain, or errPartLost if that has happened too often.
func (m *Manager) fetchPart(ctx context.Context, d *Download, p *piece) error {
	h, err := m.pin(d, p)
	if err != nil {
		return err
	}
	through, err := m.checkPart(ctx, d, p, h)
	if err == nil {
		err = m.readThrough(ctx, d, p, h, through, nil)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isAny(err, zipfile.ErrDamaged, zipfile.ErrFormat):
		m.log.Warn("a part's zip is damaged; trying again", "op", "parts", "download", p.id, "err", err)
		p.lost = lostPart(ErrProtocol, fmt.Sprintf("a part's zip is damaged: %v", err))
	case isAny(err, ErrNotFound, ErrExpired):
		p.lost = lostPart(ErrExpired, "the server has deleted a part before it was fetched")
	case errors.Is(err, ErrChanged):
		p.lost = lostPart(ErrChanged, "a part changed on the server while it was fetched")
	case err != nil:
		return fmt.Errorf("fetch part: %w", err)
	default:
		return nil
	}
	p.tries++
	if err := m.giveUpPart(ctx, d, p); err != nil {
		return err
	}
	if p.tries == maxPartTries {
		p.tries = 0
		return p.lost
	}
	return errAgain
}

// keepPart makes a part in the cache durable, journals that it is there, and has it
// deleted on the server. It calls release once the server no longer has it.
func (m *Manager) keepPart(ctx context.Context, d *Download, p *piece, release func()) error {
	if err := m.syncPiece(ctx, p); err != nil {
		return err
	}
	return m.journalFetched(d, p, release)
}

// fetchFile fetches a file that is too large for any zip of the server.
func (m *Manager) fetchFile(ctx context.Context, d *Download, p *piece) error {
	for {
		before, err := m.fileNow(ctx, p)
		if err != nil {
			return err
		}
		m.mu.Lock()
		p.id = ID(fmt.Sprintf("%s.%d", d.id, p.key))
		p.archive = ArchiveInfo{ID: p.id, Node: NodeID(p.Nodes[0]), Name: before.Name, Size: before.Size, ModifiedAt: before.ModifiedAt}
		p.progress = Progress{ID: p.id, TotalBytes: before.Size, TotalFiles: 1}
		m.mu.Unlock()
		h, err := m.pin(d, p)
		if err != nil {
			return err
		}
		sum := crc32.NewIEEE()
		err = m.readThrough(ctx, d, p, h, 0, sum)
		if err == nil {
			err = m.syncPiece(ctx, p)
		}
		if err != nil && !errors.Is(err, ErrChanged) {
			return fmt.Errorf("fetch file: %w", err)
		} else if err == nil {
			after, err := m.fileNow(ctx, p)
			if err != nil {
				return err
			}
			if after.Size == before.Size && after.ModifiedAt.Equal(before.ModifiedAt) {
				m.mu.Lock()
				p.crc = sum.Sum32()
				p.progress.BytesAdded, p.progress.FilesAdded = before.Size, 1
				m.mu.Unlock()
				return m.journalFetched(d, p, nil)
			}
		}
		if err := m.unpin(d, p, p.id); err != nil {
			return err
		}
		if p.tries++; p.tries == maxPartTries {
			p.tries = 0
			return Because(ErrChanged, "the file %q changes while it is read", before.Name)
		}
	}
}

func (m *Manager) fileNow(ctx context.Context, p *piece) (n Node, err error) {
	err = m.request(ctx, "measure", "", func(ctx context.Context) (err error) {
		n, err = m.nodes.Node(ctx, NodeID(p.Nodes[0]))
		return err
	})
	return n, err
}

// pin opens a piece, which makes the cache keep it. The handle of an earlier try may be
// dead, or of what the piece was then, so it gives way to the new one.
func (m *Manager) pin(d *Download, p *piece) (Archive, error) {
	h, err := m.archives.Open(p.archive)
	if err != nil {
		return nil, fmt.Errorf("fetch part: %w", err)
	}
	m.mu.Lock()
	old := d.parts.pins[p.key]
	d.parts.pins[p.key] = h
	m.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
	return h, nil
}

// unpin lets the cache drop its copy of a piece.
func (m *Manager) unpin(d *Download, p *piece, id ID) error {
	m.mu.Lock()
	h := d.parts.pins[p.key]
	delete(d.parts.pins, p.key)
	m.mu.Unlock()
	if h == nil {
		return nil
	}
	return errors.Join(m.archives.Drop(id), h.Close())
}

// readThrough reads a piece from off to its end, which makes the cache fetch it. The
// bytes also go to sum, if that is not nil.
func (m *Manager) readThrough(ctx context.Context, d *Download, p *piece, h Archive, off int64, sum io.Writer) error {
	if off == p.archive.Size {
		return nil
	}
	buf := make([]byte, 1<<20)
	for off < p.archive.Size {
		n, err := h.ReadAt(ctx, buf[:min(int64(len(buf)), p.archive.Size-off)], off)
		if sum != nil {
			_, _ = sum.Write(buf[:n]) // a hash does not fail
		}
		off += int64(n)
		if p.Kind == split.File {
			m.locked(func() {
				p.progress.BytesAdded = off
				d.sumParts()
			})
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case n == 0 && off < p.archive.Size:
			return io.ErrUnexpectedEOF
		}
		m.reached(d, p, off)
	}
	return nil
}

// reached takes in that a piece's bytes have come up to off. Bytes that the cache
// already had do not count.
func (m *Manager) reached(d *Download, p *piece, off int64) {
	if off <= p.reached {
		return
	}
	p.reached = off
	m.mu.Lock()
	defer m.mu.Unlock()
	d.onward()
}

// writtenWithin bounds how long the cache may take to write the bytes that were read
// last.
const writtenWithin = 4 * time.Second

// syncPiece makes the bytes of a piece, all of which have been read, survive a crash:
// once the journal records it, the cache's copy is the only one.
func (m *Manager) syncPiece(ctx context.Context, p *piece) error {
	if p.archive.Size == 0 {
		return nil
	}
	// The cache writes to disk a little after a reader has got the bytes.
	for wait := time.Millisecond; !m.archives.Complete(p.archive.ID); wait *= 2 {
		if wait >= writtenWithin {
			return Because(ErrTooLarge, "the cache has no room for the next part of %d bytes; make room on its disk, or mount with a larger --cache-size",
				p.archive.Size)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	if err := m.archives.Sync(ctx, p.archive.ID); err != nil {
		return fmt.Errorf("keep part: %w", err)
	}
	if !m.archives.Complete(p.archive.ID) {
		return fmt.Errorf("keep part: the cache's disk has lost some of it: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// journalFetched makes it durable that a piece is in the cache, and has the server
// delete the zip of a part.
func (m *Manager) journalFetched(d *Download, p *piece, release func()) error {
	serial, over := p.serial, false
	err := m.journal.Update(func(tx journal.Tx) (err error) {
		if p.serial == 0 {
			if serial, err = tx.NextSerial(); err != nil {
				return err
			}
		}
		m.mu.Lock()
		over = d.removed || d.cancelled
		q := *p
		m.mu.Unlock()
		if over {
			return nil
		}
		q.fetched = true
		if err := tx.Put(journal.Parts, serial, q.record(d.serial)); err != nil {
			return err
		}
		if p.Kind == split.Part {
			return tx.Put(journal.Removals, serial, removalRecord{V: recordVersion, ID: p.id, Delete: true})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal part: %w", err)
	}
	m.mu.Lock()
	late := d.removed || d.cancelled
	m.mu.Unlock()
	if late && !over && p.serial == 0 {
		_ = m.journal.Update(func(tx journal.Tx) error { return tx.Delete(journal.Parts, serial) })
	}
	if over || late {
		return context.Canceled
	}
	m.mu.Lock()
	defer m.unlock()
	p.serial, p.fetched, p.tries = serial, true, 0
	d.sumParts()
	d.onward()
	m.save(d)
	if p.Kind == split.Part {
		id := p.id
		m.removePart(id, serial, false)
		m.running.Go(func() {
			m.awaitRemoval(m.ctx, id)
			release()
		})
	}
	return nil
}

// pinned is an archive that serves as a zip's source.
type pinned struct{ Archive }

// Expect implements zipfile.Source.
func (p pinned) Expect(off, n int64) { Expect(p.Archive, off, n) }
