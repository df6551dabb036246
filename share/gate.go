package share

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"sync/atomic"
)

// formatKey is the object that says how an account's objects are written. Whoever
// comes first writes it, in that way.
const formatKey = "format"

// formatText is what it says. Encrypted, it is the proof that a key is the right one.
const formatText = "downloadfs share 1\n"

const maxFormat = 4 << 10

// gate lets nobody read or change an account's part of a store before it is known how
// that part is encrypted. So a mount with another key, or without one, can never take
// what others have written for damage.
type gate struct {
	stored Store // the account's part as it is stored
	plain  Store // the same, decrypted
	key    *Key  // nil: nothing is encrypted
	begins bool  // whether an account that has no objects yet may be begun
	lock   chan struct{}
	known  atomic.Bool
}

// newGate returns an account's part of a store. key is nil if nothing in it is
// encrypted. If begins is not set, an account that nobody has begun seems empty.
func newGate(store Store, account string, key *Key, begins bool) *gate {
	g := &gate{stored: Within(store, Prefix(account)), key: key, begins: begins, lock: make(chan struct{}, 1)}
	g.plain = g.stored
	if key != nil {
		g.plain = &encrypted{Store: g.stored, key: key, account: account}
	}
	return g
}

// check returns ErrKey if the account's part is encrypted otherwise, and reports
// whether there is one.
func (g *gate) check(ctx context.Context) (begun bool, err error) {
	if g.known.Load() {
		return true, nil
	}
	select {
	case g.lock <- struct{}{}:
		defer func() { <-g.lock }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if g.known.Load() {
		return true, nil
	}
	p, err := readAll(ctx, g.stored, formatKey, maxFormat)
	if errors.Is(err, iofs.ErrNotExist) {
		if !g.begins {
			return false, nil
		}
		if err := g.begin(ctx); err != nil {
			return false, err
		}
		p, err = readAll(ctx, g.stored, formatKey, maxFormat)
	}
	if err == nil {
		err = g.match(p)
	}
	if err != nil {
		return false, err
	}
	g.known.Store(true)
	return true, nil
}

// begin writes the object that says how all others are written. Whoever has removed that
// object may have left others: then it is written again only if nothing is encrypted.
func (g *gate) begin(ctx context.Context) error {
	objects, err := g.stored.List(ctx, "")
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.Key == formatKey {
			return nil // another mount was faster
		}
	}
	if len(objects) > 0 {
		sealed, err := g.sealed(ctx, objects)
		switch {
		case err != nil:
			return err
		case sealed && g.key == nil:
			return encryptedShare
		case sealed:
			return fmt.Errorf("the object %q of the share is missing; empty the share, or restore that object", formatKey)
		case g.key != nil:
			return notEncrypted
		}
	}
	err = g.plain.Create(ctx, formatKey, []byte(formatText))
	if errors.Is(err, iofs.ErrExist) {
		return nil
	}
	return err
}

// sealed reports whether the objects are encrypted. They all are, or none is.
func (g *gate) sealed(ctx context.Context, objects []Object) (bool, error) {
	i := slices.IndexFunc(objects, func(o Object) bool { return o.Size > frameHeader })
	if i < 0 {
		return false, nil
	}
	head, err := readAll(ctx, g.stored, objects[i].Key, frameHeader)
	return isEncrypted(head), err
}

// match compares what the format object holds with the key.
func (g *gate) match(stored []byte) error {
	sealed, text := isEncrypted(stored), stored
	switch {
	case g.key == nil && sealed:
		return encryptedShare
	case g.key != nil && !sealed && string(stored) == formatText:
		return notEncrypted
	case g.key != nil:
		var err error
		text, err = io.ReadAll(g.plain.(*encrypted).frames(formatKey, io.NopCloser(bytes.NewReader(stored))))
		if errors.Is(err, errOtherKey) {
			return keyError("the share is encrypted with another key than --share-key-file has; give this mount the key that the others have")
		}
		if err != nil {
			text = nil
		}
	}
	if string(text) != formatText {
		// Not errDamaged, which would be a reason to go on.
		return fmt.Errorf("the object %q of the share is damaged; empty the share, or restore that object", formatKey)
	}
	return nil
}

// Create implements Store.
func (g *gate) Create(ctx context.Context, key string, body []byte) error {
	begun, err := g.check(ctx)
	if err == nil && !begun {
		err = errors.New("nobody has begun the share")
	}
	if err != nil {
		return err
	}
	return g.plain.Create(ctx, key, body)
}

// Open implements Store.
func (g *gate) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	begun, err := g.check(ctx)
	if err != nil {
		return nil, err
	}
	if !begun {
		return nil, fmt.Errorf("open %s: %w", key, iofs.ErrNotExist)
	}
	return g.plain.Open(ctx, key, off, n)
}

// List implements Store.
func (g *gate) List(ctx context.Context, prefix string) ([]Object, error) {
	begun, err := g.check(ctx)
	if err != nil || !begun {
		return nil, err
	}
	return g.plain.List(ctx, prefix)
}

// Delete implements Store.
func (g *gate) Delete(ctx context.Context, key string) error {
	begun, err := g.check(ctx)
	if err != nil || !begun {
		return err
	}
	return g.plain.Delete(ctx, key)
}

// Close implements Store.
func (g *gate) Close() error { return g.stored.Close() }
