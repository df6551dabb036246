package share

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"downloadfs/download"
)

// Archive is an archive in a store, or what there is of one.
type Archive struct {
	Account string // see Account
	ID      download.ID
	Name    string // of the file; empty unless Whole
	Size    int64  // of the archive, in bytes; 0 unless Whole
	Stored  int64  // bytes of its objects
	Objects int
	Whole   bool
	// WrittenAt is when its newest object was written, by the store's clock.
	WrittenAt time.Time

	keys []string
}

// parallel is how many requests the commands make at once.
const parallel = 16

// inventory sorts the objects of a store, or of an account if the keys are below its
// prefix, into archives, the oldest first, and the rest.
func inventory(account string, objects []Object) (archives []*Archive, rest []Object) {
	type name struct {
		account string
		id      download.ID
	}
	byID := make(map[name]*Archive)
	for _, o := range objects {
		n, key := name{account: account}, o.Key
		if account == "" {
			n.account, key, _ = strings.Cut(strings.TrimPrefix(key, versionPrefix), "/")
		}
		parts := strings.Split(key, "/")
		if len(parts) != 3 || parts[0] != "archive" {
			rest = append(rest, o)
			continue
		}
		n.id = download.ID(parts[1])
		a := byID[n]
		if a == nil {
			a = &Archive{Account: n.account, ID: n.id}
			byID[n] = a
			archives = append(archives, a)
		}
		a.keys = append(a.keys, o.Key)
		a.Stored += o.Size
		a.Objects++
		a.Whole = a.Whole || parts[2] == "done"
		if o.ModTime.After(a.WrittenAt) {
			a.WrittenAt = o.ModTime
		}
	}
	slices.SortStableFunc(archives, func(x, y *Archive) int {
		return cmp.Or(x.WrittenAt.Compare(y.WrittenAt), cmp.Compare(x.ID, y.ID))
	})
	return archives, rest
}

// List returns the archives of all accounts in a store, the oldest first.
func List(ctx context.Context, store Store) ([]Archive, error) {
	objects, err := store.List(ctx, versionPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the share: %w", err)
	}
	found, _ := inventory("", objects)
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, a := range found {
		if !a.Whole {
			continue
		}
		g.Go(func() error {
			m, err := readManifest(ctx, store, a)
			if err == nil {
				a.Name, a.Size = m.Name, m.Size
			}
			a.Whole = err == nil
			if errors.Is(err, errDamaged) || errors.Is(err, iofs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("list the share: %w", err)
	}
	archives := make([]Archive, 0, len(found))
	for _, a := range found {
		archives = append(archives, *a)
	}
	return archives, nil
}

func readManifest(ctx context.Context, store Store, a *Archive) (manifest, error) {
	p, err := readAll(ctx, Within(store, Prefix(a.Account)), doneKey(a.ID), maxManifest)
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(p, a.Account, a.ID)
}

func readAll(ctx context.Context, store Store, key string, limit int64) ([]byte, error) {
	rc, err := store.Open(ctx, key, 0, limit)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, limit))
}

// Damage is an object that is not what it should be.
type Damage struct {
	Account string
	ID      download.ID
	Key     string
	Err     error
}

// Verification is what Verify found.
type Verification struct {
	Archives int
	Bytes    int64 // read
	Damaged  []Damage
}

// Verify reads every archive of a store and compares it with its checksums. It deletes
// pieces that are damaged, and with them the archive's claim to be whole. The next
// mount that reads the archive then puts the rest into the store again, if the content
// server or its cache still has it.
func Verify(ctx context.Context, store Store) (v Verification, err error) {
	objects, err := store.List(ctx, versionPrefix)
	if err != nil {
		return v, fmt.Errorf("verify the share: %w", err)
	}
	found, _ := inventory("", objects)
	for _, a := range found {
		v.Archives++
		damaged, n, err := verify(ctx, store, a)
		v.Bytes += n
		if err != nil {
			return v, fmt.Errorf("verify the share: %w", err)
		}
		v.Damaged = append(v.Damaged, damaged...)
		if len(damaged) == 0 {
			continue
		}
		keys := []string{Prefix(a.Account) + "/" + doneKey(a.ID)} // first: nobody is to rely on it
		for _, d := range damaged {
			keys = append(keys, d.Key)
		}
		for _, key := range keys {
			if err := store.Delete(ctx, key); err != nil {
				return v, fmt.Errorf("verify the share: %w", err)
			}
		}
	}
	return v, nil
}

// verify reads one archive.
func verify(ctx context.Context, store Store, a *Archive) (damaged []Damage, n int64, err error) {
	bad := func(key string, err error) {
		damaged = append(damaged, Damage{a.Account, a.ID, key, err})
	}
	prefix := Prefix(a.Account) + "/"
	var m manifest
	if a.Whole {
		if m, err = readManifest(ctx, store, a); errors.Is(err, errDamaged) {
			bad(prefix+doneKey(a.ID), err)
			a.Whole = false
		} else if errors.Is(err, iofs.ErrNotExist) {
			a.Whole = false // deleted since it was listed
		} else if err != nil {
			return nil, 0, err
		}
	}
	there := make(map[string]bool)
	for _, key := range a.keys {
		there[key] = true
		if strings.HasSuffix(key, "/done") {
			continue
		}
		h, read, err := verifyPiece(ctx, store, key)
		n += read
		if err == nil {
			info := download.ArchiveInfo{ID: a.ID, Size: h.size}
			if a.Whole {
				info = m.info()
			}
			if err = h.check(a.Account, info, newLayout(info.Size), h.piece); err == nil && prefix+pieceKey(a.ID, h.piece) != key {
				err = fmt.Errorf("it is piece %d: %w", h.piece, errDamaged)
			}
		}
		switch {
		case errors.Is(err, errDamaged):
			bad(key, err)
		case errors.Is(err, iofs.ErrNotExist):
		case err != nil:
			return nil, n, err
		}
	}
	if a.Whole {
		for k := range newLayout(m.Size).pieces {
			if key := prefix + pieceKey(a.ID, k); !there[key] {
				bad(key, fmt.Errorf("it is missing: %w", errDamaged))
			}
		}
	}
	return damaged, n, nil
}

// verifyPiece reads a piece. Its error is errDamaged if its bytes are not those that
// were written.
func verifyPiece(ctx context.Context, store Store, key string) (h header, n int64, err error) {
	rc, err := store.Open(ctx, key, 0, -1)
	if err != nil {
		return h, 0, err
	}
	defer rc.Close()
	read := func(p []byte) error {
		got, err := io.ReadFull(rc, p)
		n += int64(got)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("it is too short: %w", errDamaged)
		}
		return err
	}
	p := make([]byte, headerLen)
	if err := read(p); err != nil {
		return h, n, err
	}
	if h, err = decodeHeader(p); err != nil {
		return h, n, err
	}
	if h.size <= 0 || h.size > maxBlocks*blockSize || h.piece < 0 || h.piece >= newLayout(h.size).pieces {
		return h, n, fmt.Errorf("its numbers are impossible: %w", errDamaged)
	}
	l := newLayout(h.size)
	from, to := l.span(h.piece)
	if len(h.sums) != to-from {
		return h, n, fmt.Errorf("it has %d sums: %w", len(h.sums), errDamaged)
	}
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	for b := from; b < to; b++ {
		p := block[:l.offset(b+1)-l.offset(b)]
		if err := read(p); err != nil {
			return h, n, err
		}
		if sum(p) != h.sums[b-from] {
			return h, n, fmt.Errorf("block %d: %w", b, errDamaged)
		}
	}
	return h, n, nil
}

// makeRoom deletes the oldest of the account's archives until this one fits.
func (s *Share) makeRoom(ctx context.Context, info download.ArchiveInfo) error {
	objects, err := s.store.list(ctx, "archive/")
	if err != nil {
		return err
	}
	now, err := s.clock.now(ctx)
	if err != nil {
		return err
	}
	archives, _ := inventory(s.cfg.Account, objects)
	var used int64
	for _, a := range archives {
		if a.ID != info.ID {
			used += a.Stored
		}
	}
	for _, a := range archives {
		if used+info.Size <= s.cfg.Size {
			break
		}
		if a.ID == info.ID || now.Sub(a.WrittenAt) < 2*leaseTTL {
			continue // being written
		}
		if err := s.deleteArchive(ctx, a.ID); err != nil {
			return err
		}
		used -= a.Stored
		s.log.Info("archive dropped from the share to make room", "op", "share", "download", a.ID, "len", a.Stored)
	}
	if used+info.Size > s.cfg.Size {
		return fmt.Errorf("%d bytes do not fit into the share, whose size is %d", info.Size, s.cfg.Size)
	}
	return nil
}

// PruneOptions say what Prune deletes besides garbage.
type PruneOptions struct {
	Size int64         // what each account's archives may take, in bytes; negative: any
	Age  time.Duration // the greatest age of an archive; 0: any
}

// Pruned is what Prune has deleted.
type Pruned struct {
	Archives []Archive
	Garbage  int // objects that were of no use
}

// unfinishedFor is how old an archive that was never finished, and anything else that
// no mount uses, may get.
const unfinishedFor = 24 * time.Hour

// Prune deletes from a store what mounts that died have left, and archives that are too
// old or too many.
func Prune(ctx context.Context, store Store, o PruneOptions) (p Pruned, err error) {
	c := newClock(newGuard(store, nil), versionPrefix+"prune/clock/")
	now, err := c.now(ctx)
	if err != nil {
		return p, fmt.Errorf("prune the share: %w", err)
	}
	objects, err := store.List(ctx, versionPrefix)
	if err != nil {
		return p, fmt.Errorf("prune the share: %w", err)
	}
	archives, rest := inventory("", objects)
	drop := func(a *Archive) error {
		slices.SortFunc(a.keys, func(x, y string) int { // the claim to be whole goes first
			return cmp.Or(-cmp.Compare(strings.Count(x, "/done"), strings.Count(y, "/done")), cmp.Compare(x, y))
		})
		for _, key := range a.keys {
			if err := store.Delete(ctx, key); err != nil {
				return fmt.Errorf("prune the share: %w", err)
			}
		}
		p.Archives = append(p.Archives, *a)
		return nil
	}
	used := make(map[string]int64)
	var good []*Archive
	for _, a := range archives {
		age := now.Sub(a.WrittenAt)
		if !a.Whole && age >= unfinishedFor || o.Age > 0 && age > o.Age {
			if err := drop(a); err != nil {
				return p, err
			}
			continue
		}
		used[a.Account] += a.Stored
		good = append(good, a)
	}
	for _, a := range good {
		if o.Size < 0 || used[a.Account] <= o.Size || now.Sub(a.WrittenAt) < 2*leaseTTL {
			continue
		}
		if err := drop(a); err != nil {
			return p, err
		}
		used[a.Account] -= a.Stored
	}
	for _, obj := range rest {
		_, key, _ := strings.Cut(strings.TrimPrefix(obj.Key, versionPrefix), "/")
		kind, _, _ := strings.Cut(key, "/")
		if now.Sub(obj.ModTime) < unfinishedFor || kind != "lease" && kind != "clock" {
			continue
		}
		if err := store.Delete(ctx, obj.Key); err != nil {
			return p, fmt.Errorf("prune the share: %w", err)
		}
		p.Garbage++
	}
	if s, ok := store.(interface {
		Sweep(context.Context, time.Time) (int, error)
	}); ok {
		n, err := s.Sweep(ctx, now)
		p.Garbage += n
		if err != nil {
			return p, fmt.Errorf("prune the share: %w", err)
		}
	}
	return p, nil
}
