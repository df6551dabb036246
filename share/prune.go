package share

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"downloadfs/download"
)

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
		return fmt.Errorf("%d bytes, and the share may have %d: %w", info.Size, s.cfg.Size, errNoRoom)
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
	// Locked is how many accounts were left alone, because they are encrypted with a key
	// that was not given.
	Locked int
	// Unmarked is how many were left alone, because they have no format object.
	Unmarked int
}

// pruner is where Prune learns the time; it is not an account.
const pruner = "prune"

// unfinishedFor is how old an archive that was never finished, and anything else that
// no mount uses, may get.
const unfinishedFor = 24 * time.Hour

// Prune deletes from a store what mounts that died have left, and archives that are too
// old or too many. What key does not open, which may be nil, it leaves alone.
func Prune(ctx context.Context, store Store, key *Key, o PruneOptions) (p Pruned, err error) {
	c := newClock(newGuard(store, nil), versionPrefix+pruner+"/clock/")
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
	open := openAccounts(store, key)
	locked := make(map[string]bool)
	mayDelete := func(account string) (bool, error) {
		g, err := open.open(ctx, account)
		if err != nil {
			return false, fmt.Errorf("prune the share: %w", err)
		}
		locked[account] = g == nil
		return g != nil, nil
	}
	used := make(map[string]int64)
	var good []*Archive
	for _, a := range archives {
		if may, err := mayDelete(a.Account); err != nil {
			return p, err
		} else if !may {
			continue
		}
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
	lists := make(map[string]map[download.ID]*entry)
	for _, obj := range rest {
		account, key, _ := strings.Cut(strings.TrimPrefix(obj.Key, versionPrefix), "/")
		kind, _, _ := strings.Cut(key, "/")
		proof := strings.HasPrefix(obj.Key, proofPrefix) // of no account
		if now.Sub(obj.ModTime) < unfinishedFor || kind != "lease" && kind != "clock" && kind != "nodes" && !proof || account == pruner {
			continue
		}
		if !proof {
			if may, err := mayDelete(account); err != nil {
				return p, err
			} else if !may {
				continue
			}
		}
		if kind == "nodes" {
			ids, read := lists[account]
			if !read {
				if ids, err = open.listed(ctx, account); err != nil {
					return p, fmt.Errorf("prune the share: %w", err)
				}
				lists[account] = ids
			}
			if ids == nil || ids[download.ID(strings.TrimPrefix(key, "nodes/"))] != nil {
				continue
			}
		}
		if err := store.Delete(ctx, obj.Key); err != nil {
			return p, fmt.Errorf("prune the share: %w", err)
		}
		p.Garbage++
	}
	for account, is := range locked {
		switch {
		case open.unmarked[account]:
			p.Unmarked++
		case is:
			p.Locked++
		}
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
