package share

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"downloadfs/download"
)

const (
	recordPrefix   = "list/"
	snapshotPrefix = "snap/"
	// snapshotEvery is how many records a new mount reads at most, besides a snapshot
	// of the list.
	snapshotEvery = 128
	// snapshotLook is how often a mount looks whether it has missed so much that the
	// next record is no longer there.
	snapshotLook = time.Minute
	// maxChanges is how many changes one record holds, and maxRecord its bytes.
	maxChanges  = 500
	maxRecord   = 64 << 20
	maxSnapshot = 1 << 30
)

// rollLog reads and writes the records of the list. One goroutine uses it, but roll may
// be read by others under mu.
type rollLog struct {
	s *Share

	mu   sync.RWMutex // guards roll
	roll *roll

	snapshot uint64    // the newest that is known
	partial  bool      // records before those that were read are missing
	looked   time.Time // for a newer snapshot; zero before the first time
	heard    time.Time // when the leader's latest record was read
	// told is called with the downloads that records changed, and those that somebody
	// waits for.
	told func(changed, looked []download.ID)
}

func newRollLog(s *Share) *rollLog {
	return &rollLog{s: s, roll: newRoll(), heard: time.Now()}
}

// catchUp reads the records that others have written.
func (l *rollLog) catchUp(ctx context.Context) error {
	if l.looked.IsZero() || time.Since(l.looked) > snapshotLook {
		if err := l.load(ctx); err != nil {
			return err
		}
		l.looked = time.Now()
	}
	for {
		rec, err := l.read(ctx, l.roll.Seq+1)
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if l.roll.other(rec) {
			l.forgotten()
			return l.catchUp(ctx)
		}
		l.take(rec)
	}
}

// forgotten begins again, because the store has another log.
func (l *rollLog) forgotten() {
	l.s.log.Warn("the shared list is gone from the store; telling the others again what is here", "op", "share")
	l.begin()
}

// begin begins with no record.
func (l *rollLog) begin() {
	l.set(newRoll())
	l.looked, l.snapshot, l.partial = time.Time{}, 0, false
}

// take applies a record.
func (l *rollLog) take(rec record) {
	l.mu.Lock()
	changed, looked := l.roll.apply(rec)
	if l.roll.LeaderSeq == l.roll.Seq {
		l.heard = time.Now()
	}
	l.mu.Unlock()
	if l.told != nil {
		l.told(changed, looked)
	}
}

// read reads a record. One that is damaged says nothing, to all who read it from then
// on.
func (l *rollLog) read(ctx context.Context, seq uint64) (rec record, err error) {
	for range 2 { // damage may be on the way only
		var p []byte
		if p, err = l.s.store.read(ctx, linkKey(recordPrefix, seq), maxRecord); err == nil {
			err = unseal(p, &rec)
		}
		if !errors.Is(err, errDamaged) {
			return rec, err
		}
	}
	l.s.log.Warn("a change of the shared list is damaged; it is left out", "op", "share", "seq", seq, "err", err)
	return record{}, nil
}

// load reads the newest snapshot if it is newer than what this mount has. The first
// time, and when the store has forgotten the list, it reads the records after it too.
func (l *rollLog) load(ctx context.Context) error {
	if l.partial {
		l.set(newRoll()) // perhaps somebody has mended it
		l.looked = time.Time{}
	}
	newest, err := l.loadSnapshot(ctx)
	if err != nil {
		return err
	}
	if l.roll.Seq > newest {
		rec, err := l.read(ctx, newest+1)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
			// Somebody has deleted what a new mount would begin with.
			l.compact(ctx)
		case err != nil:
			return err
		case l.roll.other(rec):
			l.forgotten()
		}
	}
	if !l.looked.IsZero() {
		return nil // the records come one by one
	}
	l.partial = false
	for range 2 {
		gap, err := l.loadRecords(ctx)
		if err != nil || gap == 0 {
			return err
		}
		// Either a newer snapshot has just replaced them, or they are lost.
		if newest, err = l.loadSnapshot(ctx); err != nil {
			return err
		}
		if newest < gap-1 && l.roll.Seq < gap-1 {
			l.s.log.Warn("records of the shared list are missing; going on without them", "op", "share", "seq", gap-1)
			l.partial = true
			l.mu.Lock()
			l.roll.Seq = gap - 1
			l.mu.Unlock()
		}
	}
	_, err = l.loadRecords(ctx)
	return err
}

func (l *rollLog) set(r *roll) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll = r
	l.heard = time.Now()
}

// loadSnapshot takes the newest snapshot that can be read, if it is newer than what
// this mount has. It returns the number of the newest.
func (l *rollLog) loadSnapshot(ctx context.Context) (newest uint64, err error) {
	snapshots, err := l.s.store.list(ctx, snapshotPrefix)
	if err != nil {
		return 0, err
	}
	for i := len(snapshots) - 1; i >= 0; i-- {
		seq, ok := number(snapshots[i].Key, snapshotPrefix)
		if !ok {
			continue
		}
		newest = max(newest, seq)
		if seq <= l.roll.Seq {
			break
		}
		r, err := l.readSnapshot(ctx, seq)
		if errors.Is(err, errDamaged) || errors.Is(err, iofs.ErrNotExist) {
			continue // an older one, and more records
		}
		if err != nil {
			return 0, err
		}
		l.set(r)
		break
	}
	l.snapshot = max(l.snapshot, newest)
	return newest, nil
}

// loadRecords reads the records that follow, many at once. If the next one is missing
// and later ones are there, it returns the number of the first that is.
func (l *rollLog) loadRecords(ctx context.Context) (gap uint64, err error) {
	objects, err := l.s.store.list(ctx, recordPrefix)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	var mu sync.Mutex
	records := make(map[uint64]record)
	for _, o := range objects {
		seq, ok := number(o.Key, recordPrefix)
		if !ok || seq <= l.roll.Seq {
			continue
		}
		g.Go(func() error {
			rec, err := l.read(ctx, seq)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				records[seq] = rec
			}
			if errors.Is(err, iofs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for {
		rec, ok := records[l.roll.Seq+1]
		if !ok {
			break
		}
		delete(records, l.roll.Seq+1)
		l.take(rec)
	}
	for seq := range records {
		if seq > l.roll.Seq && (gap == 0 || seq < gap) {
			gap = seq
		}
	}
	return gap, nil
}

func number(key, prefix string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimLeft(path.Base(key), "0"), 10, 63)
	return n, err == nil && key == linkKey(prefix, n)
}

// write writes what build makes of the list as it is. If another mount writes first,
// it reads that and asks build again. build returns nil if there is nothing to write.
func (l *rollLog) write(ctx context.Context, build func(*roll) *record) (*record, error) {
	for {
		rec := build(l.roll)
		if rec == nil {
			return nil, nil
		}
		rec.V, rec.By, rec.Log = recordVersion, l.s.mount, l.roll.Log
		if rec.Log == "" {
			rec.Log = rand.Text()
		}
		p, err := seal(rec)
		if err != nil {
			return nil, err
		}
		seq := l.roll.Seq + 1
		err = l.s.store.create(ctx, linkKey(recordPrefix, seq), p)
		if errors.Is(err, iofs.ErrExist) {
			before := l.roll.Seq
			if err := l.catchUp(ctx); err != nil {
				return nil, err
			}
			if l.roll.Seq == before {
				return nil, fmt.Errorf("the store has record %d of the list and does not show it", seq)
			}
			continue
		}
		if err != nil {
			// If it was written all the same, catchUp finds it, and build then has
			// nothing left to do.
			return nil, err
		}
		l.take(*rec)
		if l.roll.Seq >= l.snapshot+snapshotEvery {
			l.compact(ctx)
		}
		return rec, nil
	}
}

// compact writes a snapshot, and deletes the records that are in the one before it.
func (l *rollLog) compact(ctx context.Context) {
	if l.s.cfg.Only {
		return
	}
	seq := l.roll.Seq
	p, err := seal(l.roll)
	if err != nil {
		return
	}
	if err := l.s.store.create(ctx, linkKey(snapshotPrefix, seq), p); err != nil && !errors.Is(err, iofs.ErrExist) {
		return
	}
	before := l.snapshot
	l.snapshot = seq
	for _, prefix := range []string{recordPrefix, snapshotPrefix} {
		objects, err := l.s.store.list(ctx, prefix)
		if err != nil {
			return
		}
		for _, o := range objects {
			n, ok := number(o.Key, prefix)
			if !ok || n > before || prefix == snapshotPrefix && n == before {
				continue
			}
			if l.s.store.remove(ctx, o.Key) != nil {
				return
			}
		}
	}
}

func (l *rollLog) readSnapshot(ctx context.Context, seq uint64) (*roll, error) {
	p, err := l.s.store.read(ctx, linkKey(snapshotPrefix, seq), maxSnapshot)
	if err != nil {
		return nil, err
	}
	r := new(roll)
	if err := unseal(p, r); err != nil {
		return nil, err
	}
	if r.V != recordVersion || r.Seq != seq || !r.sound() {
		return nil, fmt.Errorf("snapshot %d: %w", seq, errDamaged)
	}
	r.index()
	return r, nil
}

// seal encodes v, compressed, with a sum.
func seal(v any) ([]byte, error) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if err := errors.Join(json.NewEncoder(z).Encode(v), z.Close()); err != nil {
		return nil, err
	}
	return fmt.Appendf(buf.Bytes(), "%08x", sum(buf.Bytes())), nil
}

// unseal decodes what seal made, and returns errDamaged for all else.
func unseal(p []byte, v any) error {
	n := len(p) - 8
	if n < 0 || string(p[n:]) != fmt.Sprintf("%08x", sum(p[:n])) {
		return errDamaged
	}
	z, err := gzip.NewReader(bytes.NewReader(p[:n]))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxSnapshot)).Decode(v)
	}
	if err != nil {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	return nil
}
