package share

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"sync/atomic"
	"time"

	"downloadfs/download"
)

const (
	// fetchTries is how often a block is asked for that does not come.
	fetchTries = 3
	// againAfter is the first pause before something is tried again, and againMax the
	// longest.
	againAfter = time.Second
	againMax   = 30 * time.Second
)

// fetch begins to put the archive into the store, as the holder of a lease and of a slot
// of uploads, which it gives back. It reports false, and gives nothing back, if the share
// is closing. a.mu is held.
func (a *archive) fetch(l *lease) bool {
	ctx, stop := context.WithCancelCause(a.s.ctx)
	a.stop, a.stopped = func() { stop(context.Canceled) }, make(chan struct{})
	return a.s.start(func() {
		a.s.log.Debug("fetching an archive for the share", "op", "share", "download", a.info.ID, "len", a.info.Size)
		var pieces atomic.Int64
		beats := make(chan struct{})
		go func() {
			defer close(beats)
			if l.keep(ctx, &pieces) != nil {
				stop(errLost)
			}
		}()
		err := a.put(ctx, &pieces)
		<-a.s.uploads
		lost := context.Cause(ctx) == errLost //nolint:errorlint // it is set as it is
		stop(nil)
		<-beats
		a.fetched(l, lost, err)
	})
}

// keep renews the lease until ctx ends. It returns errLost if another mount has it.
func (l *lease) keep(ctx context.Context, pieces *atomic.Int64) error {
	beat := time.NewTicker(leaseBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if err := l.renew(ctx, int(pieces.Load())); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// fetched takes in the end of the work, and gives the lease up.
func (a *archive) fetched(l *lease, lost bool, err error) {
	log := a.s.log.With("op", "share", "download", a.info.ID)
	switch {
	case err == nil:
		log.Info("archive is in the share", "state", "complete", "len", a.info.Size)
	case lost:
		log.Info("another mount goes on fetching an archive for the share")
	case a.s.ctx.Err() != nil, errors.Is(err, context.Canceled):
		log.Debug("fetching for the share ended", "state", "stopped")
	default:
		log.Info("archive is not put into the share", "state", "incomplete", "err", err)
	}
	if !lost {
		l.giveUp()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop = nil
	close(a.stopped)
	switch {
	case err == nil:
		a.role = whole
	case lost:
		a.role = unknown
	default:
		a.role, a.until = away, time.Now().Add(awayFor)
	}
}

// put writes what is missing of the archive. It reads through the cache, which asks the
// content server for what it does not have. So each byte is fetched once for this
// mount's readers and for the others. The caller has a slot of uploads.
func (a *archive) put(ctx context.Context, pieces *atomic.Int64) error {
	if err := a.s.makeRoom(ctx, a.info); err != nil {
		return err
	}
	objects, err := a.s.store.list(ctx, archivePrefix(a.info.ID))
	if err != nil {
		return err
	}
	there := make(map[string]bool) // what a holder that died has left
	for _, o := range objects {
		there[o.Key] = true
	}
	src, err := a.open()
	if err != nil {
		return fmt.Errorf("%w: %w", errSource, err)
	}
	defer src.Close()
	var piece []byte
	for i, k := range a.layout.order() {
		key := pieceKey(a.info.ID, k)
		if !there[key] {
			if piece, err = a.piece(ctx, src, k, piece[:0]); err != nil {
				return err
			}
			late, err := a.s.insist(ctx, key, piece)
			if err != nil {
				return err
			}
			if late {
				piece = nil // the store may still be reading what it did not take in time
			}
		}
		pieces.Store(int64(i + 1))
	}
	a.s.mu.Lock()
	p := a.s.progress[a.info.ID]
	a.s.mu.Unlock()
	m := manifest{V: manifestVersion, Account: a.s.cfg.Account, ID: a.info.ID,
		Name: a.info.Name, Size: a.info.Size, ModifiedAt: a.info.ModifiedAt,
		BytesAdded: p.BytesAdded, TotalBytes: p.TotalBytes, FilesAdded: p.FilesAdded, TotalFiles: p.TotalFiles}
	body, err := m.encode()
	if err != nil {
		return err
	}
	_, err = a.s.insist(ctx, doneKey(a.info.ID), body)
	return err
}

// piece appends piece k, with its header, to dst.
func (a *archive) piece(ctx context.Context, src download.Archive, k int, dst []byte) ([]byte, error) {
	from, to := a.layout.span(k)
	off, end := a.layout.offset(from), a.layout.offset(to)
	h := header{account: a.s.cfg.Account, id: a.info.ID, size: a.info.Size, modTime: unixSeconds(a.info.ModifiedAt), piece: k}
	if n := headerLen + int(end-off); cap(dst) < n {
		dst = make([]byte, 0, n)
	}
	body := dst[headerLen : headerLen+int(end-off)]
	for b := from; b < to; b++ {
		at, next := a.layout.offset(b)-off, a.layout.offset(b+1)-off
		if err := readBlock(ctx, src, body[at:next], off+at); err != nil {
			return dst, err
		}
		h.sums = append(h.sums, sum(body[at:next]))
	}
	h.append(dst)
	return dst[:headerLen+len(body)], nil
}

// readBlock reads a block through the cache. The cache has its own patience with the
// content server; what it gives up is tried again a little later.
func readBlock(ctx context.Context, src download.Archive, p []byte, off int64) error {
	for try := 1; ; try++ {
		n, err := src.ReadAt(ctx, p, off)
		if n == len(p) {
			return nil
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if try == fetchTries || errors.Is(err, download.ErrExpired) || errors.Is(err, download.ErrChanged) || errors.Is(err, download.ErrClosed) {
			return fmt.Errorf("%w: read at %d: %w", errSource, off, err)
		}
		if err := pause(ctx, againAfter<<try); err != nil {
			return err
		}
	}
}

// insist writes an object, however long the store is in trouble. It reports whether the
// first attempt failed.
func (s *Share) insist(ctx context.Context, key string, body []byte) (late bool, err error) {
	err = again(ctx, func() bool {
		err := s.store.create(ctx, key, body)
		done := err == nil || errors.Is(err, iofs.ErrExist)
		late = late || !done
		return done
	})
	return late, err
}

// again calls try until it reports that it is done, with pauses that grow. It returns
// ctx's error if ctx ends in a pause.
func again(ctx context.Context, try func() (done bool)) error {
	for wait := againAfter; !try(); wait = min(2*wait, againMax) {
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
