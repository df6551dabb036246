package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
	"downloadfs/download/split"
	"downloadfs/zipfile"
)

// runParts has the server zip the pieces, fetches them, checks them and has them
// deleted on the server, in order. It fetches one while the next is zipped.
func (m *Manager) runParts(ctx context.Context, d *Download) error {
	m.mu.Lock()
	var todo []*piece
	var leaving []ID // fetched, and perhaps still on the server
	for _, p := range d.parts.pieces {
		switch {
		case p.Kind == split.Folder:
		case !p.fetched:
			todo = append(todo, p)
		case m.removals[p.id] != nil:
			leaving = append(leaving, p.id)
		}
	}
	m.mu.Unlock()
	for _, id := range leaving {
		m.awaitRemoval(ctx, id)
	}

	run, cancel := context.WithCancel(ctx)
	type zipped struct {
		p   *piece
		err error
	}
	ready := make(chan zipped)
	slots := make(chan struct{}, partsOnServer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(ready)
		for _, p := range todo {
			var err error
			if p.Kind == split.Part {
				select {
				case slots <- struct{}{}:
				case <-run.Done():
					return
				}
				err = m.call("parts", d.id, func() error { return m.zipPart(run, d, p) }) // it may panic
			}
			select {
			case ready <- zipped{p, err}:
			case <-run.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer func() {
		cancel()
		<-done
	}()
	// A part is checked while the next is fetched.
	checked := make(chan error, 1)
	checked <- nil
	for z := range ready {
		err := z.err
		switch {
		case err != nil:
		case z.p.Kind == split.File:
			err = m.fetchFile(run, d, z.p)
		default:
			var src zipfile.Source
			if src, err = m.fetchPiece(run, d, z.p, nil); err != nil {
				break
			}
			if err = <-checked; err != nil {
				return err
			}
			go func() {
				checked <- m.call("parts", d.id, func() error { return m.checkPart(ctx, d, z.p, src, func() { <-slots }) })
			}()
		}
		if err != nil {
			<-checked // what it finds is journaled
			return err
		}
	}
	return cmp.Or(<-checked, ctx.Err())
}

var (
	// errPartLost means that the server's zip of a part will not come.
	errPartLost = errors.New("part lost")
	// errAgain means that a part was given up and has to be asked for again.
	errAgain = errors.New("a part is asked for again")
)

// zipPart has the server zip a part, and tries again if a zip is lost on the way.
func (m *Manager) zipPart(ctx context.Context, d *Download, p *piece) error {
	for {
		if p.id == "" {
			if p.tries == maxPartTries {
				p.tries = 0
				return p.lost
			}
			if err := m.askForPart(ctx, d, p); err != nil {
				if errors.Is(err, ErrUncertain) {
					// The server may now have a zip that nobody knows of. Do not make
					// too many.
					p.tries, p.lost = p.tries+1, err
					if err := sleep(ctx, jitter(time.Second<<p.tries)); err != nil {
						return err
					}
					continue
				}
				if isAny(err, ErrNotFound, ErrForbidden) {
					return m.replan(ctx, d, p, d.parts.limit, err)
				}
				return err
			}
		}
		err := m.awaitPart(ctx, d, p)
		switch {
		case errors.Is(err, errPartLost):
			p.tries, p.lost = p.tries+1, err
			if err := m.giveUpPart(ctx, d, p); err != nil {
				return err
			}
		case errors.Is(err, ErrTooLarge):
			limit := d.parts.limit
			if p.progress.BytesAdded > 0 {
				limit = min(limit, p.progress.BytesAdded)
			}
			if err := m.giveUpPart(ctx, d, p); err != nil {
				return err
			}
			return m.replan(ctx, d, p, limit, err)
		default:
			return err
		}
	}
}

// askForPart asks the server for a part and journals the id that the server gave it.
func (m *Manager) askForPart(ctx context.Context, d *Download, p *piece) error {
	select {
	case m.posts <- struct{}{}:
		defer func() { <-m.posts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	nodes := make([]NodeID, len(p.Nodes))
	for i, id := range p.Nodes {
		nodes[i] = NodeID(id)
	}
	var got Progress
	began := time.Now()
	err := m.call("create", d.id, func() (err error) {
		got, err = m.service.Create(m.posting, nodes)
		return err
	})
	m.note(err, began)
	if err != nil {
		return err
	}
	if err := checkAnswer(got, got.ID); err != nil {
		return fmt.Errorf("create part: %w", err)
	}
	m.mu.Lock()
	taken := m.byID[got.ID] != nil || m.reserved[got.ID] || m.removals[got.ID] != nil
	m.mu.Unlock()
	if taken {
		return Because(ErrProtocol, "create part: the server answered with the id of another download")
	}
	// From here to the journal's commit a crash leaves a zip on the server, as in
	// create.
	var serial uint64
	over := false
	err = m.journal.Update(func(tx journal.Tx) (err error) {
		if serial, err = tx.NextSerial(); err != nil {
			return err
		}
		m.mu.Lock()
		over = d.removed || d.cancelled
		q := *p
		m.mu.Unlock()
		if over {
			return tx.Put(journal.Removals, serial, removalRecord{V: recordVersion, ID: got.ID, Cancel: true, Delete: true})
		}
		if q.serial != 0 { // it was fetched once, and is not in the cache any more
			if err := tx.Delete(journal.Parts, q.serial); err != nil {
				return err
			}
		}
		q.id = got.ID
		return tx.Put(journal.Parts, serial, q.record(d.serial))
	})
	m.mu.Lock()
	if late := d.removed || d.cancelled; err == nil && late && !over {
		m.mu.Unlock()
		err = m.journal.Update(func(tx journal.Tx) error {
			if err := tx.Delete(journal.Parts, serial); err != nil {
				return err
			}
			return tx.Put(journal.Removals, serial, removalRecord{V: recordVersion, ID: got.ID, Cancel: true, Delete: true})
		})
		m.mu.Lock()
		over = true
	}
	defer m.unlock()
	switch {
	case err != nil:
		m.removePart(got.ID, 0, true)
		return fmt.Errorf("create part: %w", err)
	case over:
		m.removePart(got.ID, serial, true)
		return context.Canceled
	}
	p.id, p.serial, p.progress, p.asked = got.ID, serial, Progress{}, began
	d.onward()
	return nil
}

// awaitPart waits until a part is DONE and records what its zip is.
func (m *Manager) awaitPart(ctx context.Context, d *Download, p *piece) error {
	var absent doubt
	m.mu.Lock()
	quiet := m.server.alive
	m.mu.Unlock()
	for wait := schedule.Soonest; ; {
		var got answer
		err := m.request(ctx, "poll", p.id, func(ctx context.Context) (err error) {
			got, err = m.ask(ctx, p.id, true)
			return err
		})
		m.mu.Lock()
		alive, waited := m.server.alive, d.waiters > 0
		if err == nil {
			absent.end()
			if got.progress != p.progress {
				quiet, p.progress = alive, got.progress
				d.sumParts()
				d.onward()
			}
		}
		m.mu.Unlock()
		switch {
		case errors.Is(err, ErrNotFound):
			var until time.Time // until when the server need not know it
			if p.progress.Status == "" && !p.asked.IsZero() {
				until = p.asked.Add(unseenTime)
			}
			if absent.confirmed(time.Now(), until) {
				return lostPart(ErrExpired, "the server has deleted a part before it was fetched")
			}
			wait = max(wait, schedule.Idle)
		case errors.Is(err, ErrNotReady): // DONE, but without an archive for the moment
		case err != nil:
			return err
		case got.progress.Status == StatusDone:
			m.mu.Lock()
			p.archive = *got.archive
			m.mu.Unlock()
			return nil
		case got.progress.Status == StatusCancelled:
			return lostPart(ErrCancelled, "a part was cancelled on the server")
		case got.progress.Status == StatusTooLarge:
			return Because(ErrTooLarge, "the server refuses a part as too large")
		}
		if m.stallTimeout > 0 && alive-quiet >= m.stallTimeout {
			return lostPart(ErrStalled, fmt.Sprintf("the server has made no progress with a part for %s; it may have failed there", m.stallTimeout))
		}
		if err := sleep(ctx, jitter(wait)); err != nil {
			return err
		}
		slowest := schedule.Slow
		if waited {
			slowest = schedule.Idle
		}
		wait = min(2*wait, slowest)
	}
}

// lostPart returns errPartLost together with what waiters are told if all tries fail.
func lostPart(sentinel error, sentence string) error {
	if errors.Is(sentinel, ErrCancelled) {
		sentinel = ErrServerFailed // somebody else did it: the user has cancelled nothing
	}
	return fmt.Errorf("%w%w", quiet{errPartLost}, Because(sentinel, "%s", sentence))
}

// quiet is an error that errors.Is finds but that has no text.
type quiet struct{ error }

func (quiet) Error() string   { return "" }
func (q quiet) Unwrap() error { return q.error }

// giveUpPart has a part's zip cancelled and deleted on the server. The part can be
// asked for again afterwards.
func (m *Manager) giveUpPart(ctx context.Context, d *Download, p *piece) error {
	m.mu.Lock()
	id, serial := p.id, p.serial
	m.mu.Unlock()
	err := m.journal.Update(func(tx journal.Tx) error {
		if err := tx.Delete(journal.Parts, serial); err != nil {
			return err
		}
		return tx.Put(journal.Removals, serial, removalRecord{V: recordVersion, ID: id, Cancel: true, Delete: true})
	})
	if err != nil {
		return fmt.Errorf("give up part %s: %w", id, err)
	}
	m.mu.Lock()
	if m.removals[id] == nil {
		m.removePart(id, serial, true)
	}
	p.id, p.serial, p.progress, p.archive, p.reached = "", 0, Progress{}, ArchiveInfo{}, 0
	d.sumParts()
	m.mu.Unlock()
	m.awaitRemoval(ctx, id)
	return m.unpin(d, p, id)
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

// checkPart checks the zip of a part, which is in the cache, and has it deleted on the
// server. It calls release once the server no longer has it. A damaged part is given
// up; checkPart then returns errAgain, or errPartLost if that has happened too often.
func (m *Manager) checkPart(ctx context.Context, d *Download, p *piece, src zipfile.Source, release func()) error {
	select {
	case m.checks <- struct{}{}:
		defer func() { <-m.checks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	files, unpacked, err := zipfile.Check(ctx, src, p.archive.Size, m.throttle())
	if err == nil && (files < p.progress.FilesAdded || unpacked < p.progress.BytesAdded) {
		err = fmt.Errorf("%w: %d files of %d bytes, and the server says %d of %d", zipfile.ErrDamaged,
			files, unpacked, p.progress.FilesAdded, p.progress.BytesAdded)
	}
	if isAny(err, zipfile.ErrDamaged, zipfile.ErrFormat) {
		m.log.Warn("a part's zip is damaged; trying again", "op", "parts", "download", p.id, "err", err)
		p.tries, p.lost = p.tries+1, lostPart(ErrProtocol, fmt.Sprintf("a part's zip is damaged: %v", err))
		if err := m.giveUpPart(ctx, d, p); err != nil {
			return err
		}
		if p.tries == maxPartTries {
			p.tries = 0
			return p.lost
		}
		return errAgain
	}
	if err != nil {
		return err
	}
	return m.journalFetched(d, p, release)
}

// throttle returns a function for a check to call between two pieces of work. While
// archives are being read, it lets the check use half of a processor, and otherwise
// one.
func (m *Manager) throttle() func(context.Context) error {
	began := time.Now()
	return func(ctx context.Context) error {
		m.mu.Lock()
		busy := m.opened > 0
		m.mu.Unlock()
		if worked := time.Since(began); busy && worked > 0 {
			if err := sleep(ctx, worked); err != nil {
				return err
			}
		}
		began = time.Now()
		return nil
	}
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
		sum := crc32.NewIEEE()
		if _, err := m.fetchPiece(ctx, d, p, sum); err != nil && !errors.Is(err, ErrChanged) {
			return err
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

// writtenWithin bounds how long the cache may take to write the bytes that were read
// last.
const writtenWithin = 4 * time.Second

// fetchPiece has the cache fetch and keep a whole piece. The bytes also go to sum, if
// that is not nil.
func (m *Manager) fetchPiece(ctx context.Context, d *Download, p *piece, sum io.Writer) (zipfile.Source, error) {
	a := d.parts
	m.mu.Lock()
	h := a.pins[p.key]
	m.mu.Unlock()
	if h == nil {
		var err error
		if h, err = m.archives.Open(p.archive); err != nil {
			return nil, fmt.Errorf("fetch part: %w", err)
		}
		m.mu.Lock()
		a.pins[p.key] = h
		m.mu.Unlock()
	}
	buf := make([]byte, 1<<20)
	for off := int64(0); off < p.archive.Size; {
		n, err := h.ReadAt(ctx, buf[:min(int64(len(buf)), p.archive.Size-off)], off)
		if sum != nil {
			_, _ = sum.Write(buf[:n]) // a hash does not fail
		}
		off += int64(n)
		if p.Kind == split.File {
			m.mu.Lock()
			p.progress.BytesAdded = off
			d.sumParts()
			m.mu.Unlock()
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case isAny(err, ErrNotFound, ErrExpired) && p.Kind == split.Part:
			if err := m.giveUpPart(ctx, d, p); err != nil {
				return nil, err
			}
			return nil, Because(ErrExpired, "the server has deleted a part before it was fetched")
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("fetch part: %w", err)
		}
		if n == 0 && off < p.archive.Size {
			return nil, fmt.Errorf("fetch part: %w", io.ErrUnexpectedEOF)
		}
		if off > p.reached { // new bytes, not only those that the cache already had
			p.reached = off
			m.mu.Lock()
			d.onward()
			m.mu.Unlock()
		}
	}
	// The cache writes to disk a little after a reader has got the bytes.
	for wait := time.Millisecond; p.archive.Size > 0 && !m.archives.Complete(p.archive.ID); wait *= 2 {
		if wait < writtenWithin {
			if err := sleep(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		return nil, Because(ErrTooLarge, "the cache has no room for the next part of %d bytes; make room on its disk, or mount with a larger --cache-size",
			p.archive.Size)
	}
	if p.archive.Size == 0 {
		return pinned{h}, nil
	}
	// Once the journal records it, this is the only copy.
	if err := m.archives.Sync(ctx, p.archive.ID); err != nil {
		return nil, fmt.Errorf("keep part: %w", err)
	}
	if !m.archives.Complete(p.archive.ID) {
		return nil, fmt.Errorf("keep part: the cache's disk has lost some of it: %w", io.ErrUnexpectedEOF)
	}
	return pinned{h}, nil
}

// pinned is an archive that serves as a zip's source.
type pinned struct{ Archive }

// Expect implements zipfile.Source.
func (p pinned) Expect(off, n int64) { Expect(p.Archive, off, n) }
