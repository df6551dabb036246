package share

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
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
	// Locked: it is encrypted with a key that was not given.
	Locked bool
	// Unmarked: nothing says how it is written, since its account lacks the format object.
	Unmarked bool
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

// accounts are the accounts of a store, as far as a key opens them. Its methods are not
// safe for concurrent use.
type accounts struct {
	store Store
	key   *Key
	gates map[string]*gate // nil for those that the key does not open
	// unmarked are those among them that have no format object.
	unmarked map[string]bool
}

func openAccounts(store Store, key *Key) *accounts {
	return &accounts{store, key, make(map[string]*gate), make(map[string]bool)}
}

// open returns an account's part of the store, decrypted. It returns nil if the key does
// not open it.
func (a *accounts) open(ctx context.Context, account string) (*gate, error) {
	if g, ok := a.gates[account]; ok {
		return g, nil
	}
	g := newGate(a.store, account, a.key, false)
	begun, err := g.check(ctx)
	if errors.Is(err, notEncrypted) { // though others are
		g = newGate(a.store, account, nil, false)
		begun, err = g.check(ctx)
	}
	if err == nil && !begun { // nothing is known of it
		a.unmarked[account] = true
		g = nil
	}
	if errors.Is(err, ErrKey) {
		g, err = nil, nil
	}
	if err == nil {
		a.gates[account] = g
	}
	return g, err
}

// listed returns the downloads in an account's list, or nil if some of it is lost. The
// account is open.
func (a *accounts) listed(ctx context.Context, account string) (map[download.ID]*entry, error) {
	s := Open(Config{Store: a.store, Account: account, Key: a.gates[account].key, Only: true, Logger: slog.New(slog.DiscardHandler)})
	log := newRollLog(s)
	if err := log.catchUp(ctx); err != nil || log.partial {
		return nil, err
	}
	return log.roll.byID, nil
}

// List returns the archives of all accounts in a store, the oldest first. key may be
// nil.
func List(ctx context.Context, store Store, key *Key) ([]Archive, error) {
	objects, err := store.List(ctx, versionPrefix)
	if err != nil {
		return nil, fmt.Errorf("list the share: %w", err)
	}
	found, _ := inventory("", objects)
	open := openAccounts(store, key)
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, a := range found {
		account, err := open.open(ctx, a.Account)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("list the share: %w", err), g.Wait())
		}
		a.Unmarked = open.unmarked[a.Account]
		a.Locked = account == nil && !a.Unmarked
		if account == nil || !a.Whole {
			continue
		}
		g.Go(func() error {
			m, err := readManifest(ctx, account, a)
			if err == nil {
				a.Name, a.Size = m.Name, m.Size
			}
			a.Whole = err == nil
			a.Locked = errors.Is(err, errOtherKey)
			if a.Locked || errors.Is(err, errDamaged) || errors.Is(err, iofs.ErrNotExist) {
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

func readManifest(ctx context.Context, account Store, a *Archive) (manifest, error) {
	p, err := readAll(ctx, account, doneKey(a.ID), maxManifest)
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
