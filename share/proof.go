package share

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"sync/atomic"
	"time"
)

var (
	// ErrOverwrites means that a store does not refuse to create an object that is
	// there. Mounts would overwrite each other's work in it.
	ErrOverwrites = errors.New("the store overwrites what it is asked to create only if it is not there yet (If-None-Match: *)")
	// ErrRefused means that a store answers and will not do what it is asked, for
	// example because there is no such bucket, or because the login may not. To ask
	// again does not help.
	ErrRefused = errors.New("refused")
)

// proofPrefix is where proofs are. Prune drops what a mount that was killed leaves
// there.
const proofPrefix = versionPrefix + "proof/"

const (
	// provenWithin is how long a mount waits at its start for the proof.
	provenWithin = 5 * time.Second
	// cleanedWithin is how long the removal of the proof's object may take.
	cleanedWithin = 5 * time.Second
)

// Prove makes sure that a store does what Store promises of Create, and that all that
// a mount needs is allowed. It creates an object twice, reads, lists and deletes it. It
// returns ErrOverwrites if the second creation succeeds, and the store's error if the
// store fails.
func Prove(ctx context.Context, s Store) (err error) {
	prefix := proofPrefix + rand.Text() + "/"
	key := prefix + "now"
	if err := s.Create(ctx, key, []byte("first")); err != nil && !errors.Is(err, iofs.ErrExist) {
		return err // it is there if a request was repeated whose answer was lost
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanedWithin)
		defer cancel()
		if removing := s.Delete(ctx, key); err == nil {
			err = removing
		}
	}()
	switch err := s.Create(ctx, key, []byte("other")); {
	case err == nil:
		return ErrOverwrites
	case !errors.Is(err, iofs.ErrExist):
		return err
	}
	rc, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	got, err := io.ReadAll(io.LimitReader(rc, 100))
	if err != nil {
		return err
	}
	if string(got) != "first" {
		return ErrOverwrites
	}
	objects, err := s.List(ctx, prefix)
	if err != nil {
		return err
	}
	if len(objects) != 1 || objects[0].Key != key || objects[0].ModTime.IsZero() {
		return errors.New("the store does not list what was just written, with its time")
	}
	return nil
}

// Proven returns s if Prove finds nothing wrong, or if it is only read and can be
// listed. If the store cannot be reached within a few seconds, it returns a store that
// is proved before the first object is created in it. Until then, creations fail and
// all else is done. What Prove finds to be wrong, and what the store refuses, is an
// error.
func Proven(ctx context.Context, s Store, readOnly bool, log *slog.Logger) (Store, error) {
	within, cancel := context.WithTimeout(ctx, provenWithin)
	defer cancel()
	var err error
	if readOnly {
		_, err = s.List(within, proofPrefix)
	} else {
		err = Prove(within, s)
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, ErrOverwrites), errors.Is(err, ErrRefused), ctx.Err() != nil:
		return nil, err
	}
	log.Warn("the share cannot be reached yet; reading from the content server", "op", "share", "err", err)
	return &unproven{Store: s, log: log, proving: make(chan struct{}, 1)}, nil
}

// unproven is a store that nobody has proved yet.
type unproven struct {
	Store
	log     *slog.Logger
	proved  atomic.Bool
	proving chan struct{} // a mutex that a context can end the wait for; guards wrong
	wrong   error         // what is wrong with the store for good
}

// Create implements Store.
func (u *unproven) Create(ctx context.Context, key string, body []byte) error {
	if !u.proved.Load() {
		if err := u.prove(ctx); err != nil {
			return fmt.Errorf("create %s: %w", key, err)
		}
	}
	return u.Store.Create(ctx, key, body)
}

func (u *unproven) prove(ctx context.Context) error {
	select {
	case u.proving <- struct{}{}:
		defer func() { <-u.proving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if u.proved.Load() || u.wrong != nil {
		return u.wrong
	}
	err := Prove(ctx, u.Store)
	switch {
	case err == nil:
		u.proved.Store(true)
	case errors.Is(err, ErrOverwrites):
		u.wrong = err
		u.log.Error("this mount shares nothing; use another store", "op", "share", "err", err)
	}
	return err
}
