package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"downloadfs/cache"
	"downloadfs/download"
	"downloadfs/share"
)

// shareOptions are the flags about a store that many machines share.
type shareOptions struct {
	url     string
	size    size
	keyFile string
	only    bool
}

func (o *shareOptions) addFlags(f *pflag.FlagSet) {
	o.size = 100 << 30
	f.StringVar(&o.url, "share", "", "a store that mounts on many machines share, such as file:///net/downloads or s3://bucket: each archive is fetched from the server once")
	f.Var(&o.size, "share-size", "how much this account's archives may take in the shared store")
	f.StringVar(&o.keyFile, "share-key-file", "", "encrypt what is in the shared store, with the key in this file that 'downloadfs share keygen' has made; all mounts have the same")
}

// addMountFlags adds those that only a mount has.
func (o *shareOptions) addMountFlags(f *pflag.FlagSet) {
	o.addFlags(f)
	f.BoolVar(&o.only, "share-only", false, "use no server at all: show the list and the archives that are in the shared store")
}

// check rejects values that cannot be right.
func (o *shareOptions) check() error {
	switch {
	case o.url == "" && o.only:
		return badValue("share-only", "needs a store; give --share too")
	case o.url == "" && o.keyFile != "":
		return badValue("share-key-file", "needs a store; give --share too")
	case o.url == "":
		return nil
	}
	_, err := parseShareURL(o.url)
	return err
}

// storeKind is a kind of store that --share can name.
type storeKind struct {
	// check reports what is wrong with a URL, without anything that may be a secret.
	check func(*url.URL) error
	open  func(context.Context, *url.URL) (share.Store, error)
	// honest: that it creates an object only once needs no proof.
	honest bool
}

// stores are the kinds of stores in this build, by the scheme of their URLs.
var stores = map[string]storeKind{"file": {checkDir, openDirStore, true}}

// taggedStores are those that a build has only with the tag of that name.
var taggedStores = []string{"s3", "azblob", "gs"}

func parseShareURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		if strings.ContainsAny(text, "@?") { // it may hold a password that begins an odd host
			return nil, badValue("share", "is no URL; write it like file:///net/downloads")
		}
		return nil, badValue("share", "%q is no URL; write it like file:///net/downloads", text)
	}
	if u.User != nil {
		return nil, badValue("share", "holds a password; the store's own variables and files are the place for it")
	}
	kind, known := stores[u.Scheme]
	switch {
	case !known && slices.Contains(taggedStores, u.Scheme):
		return nil, badValue("share", "%s:// is not in this build, which knows %s; use the program with 'stores' in its archive's name, or build downloadfs with the tag %s",
			u.Scheme, strings.Join(schemes(), ", "), u.Scheme)
	case !known:
		return nil, badValue("share", "%s:// is not one of the stores that this build knows: %s", u.Scheme, strings.Join(schemes(), ", "))
	}
	if err := kind.check(u); err != nil {
		return nil, badValue("share", "%v", err)
	}
	return u, nil
}

func schemes() []string {
	var known []string
	for scheme := range stores {
		known = append(known, scheme+"://")
	}
	slices.Sort(known)
	return known
}

func checkDir(u *url.URL) error {
	if u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
		return errors.New("names no directory; write it with three slashes, like file:///net/downloads")
	}
	return nil
}

func openDirStore(_ context.Context, u *url.URL) (share.Store, error) {
	return share.OpenDir(filepath.Clean(u.Path))
}

// open opens the store. Its errors carry exit codes.
func (o *shareOptions) open(ctx context.Context) (share.Store, error) {
	u, err := parseShareURL(o.url)
	if err != nil {
		return nil, err
	}
	store, err := stores[u.Scheme].open(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("cannot use --share %s: %w", u, err)
	}
	return store, nil
}

// key reads the key of the store. It returns nil without --share-key-file.
func (o *shareOptions) key() (*share.Key, error) {
	if o.keyFile == "" {
		return nil, nil
	}
	text, err := readPrivateFile(o.keyFile, "--share-key-file", 0o077)
	if err != nil {
		return nil, err
	}
	key, err := share.ParseKey(strings.NewReader(withoutMark(text)))
	if err != nil {
		return nil, exitf(exitUsage, "cannot use --share-key-file %s: %w", o.keyFile, err)
	}
	return key, nil
}

// openProven is open for a mount, whose store must be proved. A store that is out of
// reach does not keep it from starting.
func (o *shareOptions) openProven(ctx context.Context, log *slog.Logger) (share.Store, error) {
	store, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	if u, _ := parseShareURL(o.url); stores[u.Scheme].honest {
		return store, nil
	}
	proven, err := share.Proven(ctx, store, o.only, log)
	if err == nil {
		return proven, nil
	}
	hint := ""
	switch {
	case errors.Is(err, share.ErrOverwrites):
		hint = "; mounts would destroy each other's work in it, so use a store that refuses that"
	case errors.Is(err, share.ErrRefused) && o.only:
		hint = "; check the bucket's name, and that the login may list and read there"
	case errors.Is(err, share.ErrRefused):
		hint = "; check the bucket's name, and that the login may read, write, list and delete there"
	}
	return nil, errors.Join(fmt.Errorf("cannot use --share %s: %w%s", o.url, err, hint), store.Close())
}

// sharing is what stands between the cache, the manager and the server's client if
// mounts on other machines share a store, and nothing otherwise.
type sharing struct {
	share *share.Share // nil: nothing is shared
	// manager is known only after the cache has been opened.
	manager atomic.Pointer[download.Manager]
}

// startSharing opens the store of a mount.
func startSharing(ctx context.Context, o *mountOptions, server *url.URL, username string, log *slog.Logger) (*sharing, error) {
	s := &sharing{}
	if o.share.url == "" {
		return s, nil
	}
	if username == "" {
		return nil, exitf(exitUsage, "--share needs the account's name, to keep its archives apart from those of others; give --username")
	}
	key, err := o.share.key()
	if err != nil {
		return nil, err
	}
	store, err := o.share.openProven(ctx, log)
	if err != nil {
		return nil, err
	}
	s.share = share.Open(share.Config{
		Store:   store,
		Account: shareAccount(server, username),
		Size:    int64(o.share.size),
		Whole:   o.prefetch == "auto",
		Only:    o.share.only,
		Listed:  s.listed,
		Key:     key,
		Logger:  log,
	})
	ctx, cancel := context.WithTimeout(ctx, listedWithin)
	defer cancel()
	if err := s.share.Check(ctx); err != nil {
		return nil, exitf(exitUsage, "%w", errors.Join(err, s.share.Close()))
	}
	return s, nil
}

// nameOnly returns credentials that say which account it is, for a mount that logs in
// nowhere.
func (o *serverOptions) nameOnly() credentials {
	return credentials{username: cmp.Or(o.username, os.Getenv(envUsername))}
}

// shareAccount returns the name of an account's part of a store. Mounts that reach one
// server by different URLs share nothing.
func shareAccount(server *url.URL, username string) string {
	return share.Account(accountKey(server, username), username)
}

func (s *sharing) listed(id download.ID) bool {
	m := s.manager.Load()
	return m != nil && m.Lists(id)
}

func (s *sharing) source(server download.Source) download.Source {
	if s.share == nil {
		return server
	}
	return s.share.Source(server)
}

func (s *sharing) service(server download.Service) download.Service {
	if s.share == nil {
		return server
	}
	return s.share.Service(server)
}

func (s *sharing) archives(local *cache.Cache) download.Archives {
	if s.share == nil {
		return local
	}
	return s.share.Archives(local)
}

// turns says when this mount gets parts; nil if nothing is shared.
func (s *sharing) turns() download.Turns {
	if s.share == nil {
		return nil
	}
	return s.share
}

// listedWithin is how long a mount waits for the list that the others have, before it
// goes on without.
const listedWithin = 3 * time.Second

// follow makes the manager's list that of all mounts.
func (s *sharing) follow(ctx context.Context, m *download.Manager) {
	s.manager.Store(m)
	if s.share == nil {
		return
	}
	s.share.Follow(m)
	late := time.NewTimer(listedWithin)
	defer late.Stop()
	select {
	case <-s.share.Synced():
	case <-late.C:
	case <-ctx.Done():
	}
}

func (s *sharing) close() error {
	if s.share == nil {
		return nil
	}
	if err := s.share.Close(); err != nil {
		return errors.Join(fmt.Errorf("close the share: %w", err))
	}
	return nil
}
