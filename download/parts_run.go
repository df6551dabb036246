package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"downloadfs/download/journal"
	"downloadfs/download/schedule"
	"downloadfs/download/split"
)

// runParts has the server zip the pieces, fetches them, and has them deleted on the
// server, in order. It fetches one while the next is zipped and the one before is made
// durable.
func (m *Manager) runParts(ctx context.Context, d *Download) error {
	todo := m.missingPieces(ctx, d)
	run, cancel := context.WithCancel(ctx)
	type zipped struct {
		p   *piece
		err error
	}
	ready := make(chan zipped)
	slots := make(chan struct{}, partsOnServer)
	var zipping sync.WaitGroup
	zipping.Go(func() {
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
	})
	defer func() {
		cancel()
		zipping.Wait()
	}()

	var err error
	kept := make(chan error, len(todo)) // how making a part durable ended
	keeping := 0
	for zips := ready; err == nil && (zips != nil || keeping > 0); {
		select {
		case err = <-kept:
			keeping--
		case z, more := <-zips:
			switch {
			case !more:
				zips = nil
			case z.err != nil:
				err = z.err
			case z.p.Kind == split.File:
				err = m.fetchFile(run, d, z.p)
			default:
				if err = m.fetchPart(run, d, z.p); err != nil {
					break
				}
				keeping++
				go func() {
					kept <- m.call("parts", d.id, func() error { return m.keepPart(ctx, d, z.p, func() { <-slots }) })
				}()
			}
		}
	}
	for range keeping {
		err = cmp.Or(err, <-kept) // what is durable is journaled
	}
	return cmp.Or(err, ctx.Err())
}

// missingPieces returns what is still to be fetched. It waits until the server has
// deleted what was fetched before, for that counts as well.
func (m *Manager) missingPieces(ctx context.Context, d *Download) (todo []*piece) {
	m.mu.Lock()
	var leaving []ID
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
	return todo
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
				if isAny(err, ErrUncertain, ErrProtocol) {
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
	var forecast schedule.Forecast
	var wait time.Duration // an earlier mount asked for it: it may be DONE by now
	// The latest progress, and now, on the clock serverState.alive.
	var quiet, alive time.Duration
	m.locked(func() {
		quiet = m.server.alive
		if p.asked.IsZero() {
			forecast.Start(time.Now(), &m.server.pace)
		} else {
			forecast.Start(p.asked, &m.server.pace)
			wait = schedule.Soonest
		}
	})
	for unready := schedule.Soonest; ; {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		var got answer
		err := m.request(ctx, "poll", p.id, func(ctx context.Context) (err error) {
			got, err = m.ask(ctx, p.id, true)
			return err
		})
		now := time.Now()
		m.locked(func() {
			alive = m.server.alive
			if err == nil {
				absent.end()
				if got.progress.Status == StatusDone {
					m.server.pace.Learn(&forecast, now)
				}
				forecast.Observe(now, counters(got.progress))
				if got.progress != p.progress {
					quiet, p.progress = alive, got.progress
					d.sumParts()
					d.onward()
				}
			}
			if wait = forecast.Next(d.waiters > 0); d.waiters == 0 {
				wait = jitter(wait)
			}
		})
		switch {
		case errors.Is(err, ErrNotFound):
			var until time.Time // until when the server need not know it
			if p.progress.Status == "" && !p.asked.IsZero() {
				until = p.asked.Add(unseenTime)
			}
			if absent.confirmed(now, until) {
				return lostPart(ErrExpired, "the server has deleted a part before it was fetched")
			}
			wait = absent.pause(now, until)
		case errors.Is(err, ErrNotReady): // DONE, but without an archive for the moment
			wait = unready
			unready = min(2*unready, schedule.Idle)
		case err != nil:
			return err
		case got.progress.Status == StatusDone:
			m.locked(func() { p.archive = *got.archive })
			return nil
		case got.progress.Status == StatusCancelled:
			return lostPart(ErrCancelled, "a part was cancelled on the server")
		case got.progress.Status == StatusTooLarge:
			return Because(ErrTooLarge, "the server refuses a part as too large")
		}
		if m.stallTimeout > 0 && alive-quiet >= m.stallTimeout {
			return lostPart(ErrStalled, fmt.Sprintf("the server has made no progress with a part for %s; it may have failed there", m.stallTimeout))
		}
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
	m.locked(func() {
		if m.removals[id] == nil {
			m.removePart(id, serial, true)
		}
		p.id, p.serial, p.progress, p.archive, p.reached = "", 0, Progress{}, ArchiveInfo{}, 0
		d.sumParts()
	})
	m.awaitRemoval(ctx, id)
	return m.unpin(d, p, id)
}
