package login

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/zalando/go-keyring"

	"downloadfs/client"
	"downloadfs/download"
)

// The kinds of entries.
const (
	KindPassword = "password"
	KindOIDC     = "oidc"
	// KindAlias is an entry that names the Username under whose key the login is. It is
	// the login of a server for callers who name no user.
	KindAlias = "alias"
)

// ErrNone: nothing is stored under the key.
var ErrNone = errors.New("no login is stored")

// Entry is a stored login.
type Entry struct {
	Kind     string
	Username string
	Secret   client.Secret // the password, or the refresh token
	Issuer   string
	Client   string
	Scopes   []string
}

// wireEntry is an Entry as it is stored. It is a separate type so that a Secret is
// never encoded by accident.
type wireEntry struct {
	Kind     string   `json:"kind"`
	Username string   `json:"username"`
	Secret   string   `json:"secret"`
	Issuer   string   `json:"issuer,omitempty"`
	Client   string   `json:"client,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
}

func encode(e Entry) (string, error) {
	text, err := json.Marshal(wireEntry{e.Kind, e.Username, e.Secret.Reveal(), e.Issuer, e.Client, e.Scopes})
	return string(text), err
}

func decode(text string) (Entry, error) {
	var w wireEntry
	if json.Unmarshal([]byte(text), &w) != nil || w.Kind == "" {
		return Entry{}, refusal("the stored login cannot be read; run 'downloadfs logout', then 'downloadfs login'")
	}
	return Entry{w.Kind, w.Username, client.Secret(w.Secret), w.Issuer, w.Client, w.Scopes}, nil
}

// Store keeps logins by key. Its methods may wait a minute at most for a person who has
// to unlock a keyring.
type Store interface {
	Get(key string) (Entry, error) // ErrNone if there is none
	Set(key string, e Entry) error
	Delete(key string) error // ErrNone if there was none
	// Keys returns the keys of all logins. macOS's keychain tells none.
	Keys() ([]string, error)
	String() string // its name in a sentence
}

// keyringService is the name of our entries in the keyring.
const keyringService = "downloadfs"

// keyringTimeout is how long a person may take to unlock the keyring.
const keyringTimeout = time.Minute

// Keyring is the desktop's keyring: the Secret Service, or macOS's keychain.
type Keyring struct{}

func (Keyring) String() string { return "the desktop's keyring" }

// bounded runs f, which cannot be cancelled, and waits for it for keyringTimeout at
// most.
func bounded[T any](f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, keyringError(r.err)
	case <-time.After(keyringTimeout):
		var none T
		return none, fmt.Errorf("%w: the keyring does not answer; is it locked?", download.ErrUnavailable)
	}
}

func keyringError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNone
	}
	return fmt.Errorf("%w: the keyring: %w", download.ErrUnavailable, err)
}

// Get implements Store.
func (Keyring) Get(key string) (Entry, error) {
	text, err := bounded(func() (string, error) { return keyring.Get(keyringService, key) })
	if err != nil {
		return Entry{}, err
	}
	return decode(text)
}

// Set implements Store.
func (Keyring) Set(key string, e Entry) error {
	text, err := encode(e)
	if err != nil {
		return err
	}
	_, err = bounded(func() (struct{}, error) { return struct{}{}, keyring.Set(keyringService, key, text) })
	return err
}

// Delete implements Store.
func (Keyring) Delete(key string) error {
	_, err := bounded(func() (struct{}, error) { return struct{}{}, keyring.Delete(keyringService, key) })
	return err
}

// Keys implements Store.
func (Keyring) Keys() ([]string, error) { return bounded(keyringKeys) }

// Files is a directory of files that only their user can read, for machines
// without a keyring.
type Files struct{ Dir string }

func (f Files) String() string { return f.Dir }

func (f Files) path(key string) string { return filepath.Join(f.Dir, key+".json") }

// Get implements Store.
func (f Files) Get(key string) (Entry, error) {
	path := f.path(key)
	info, err := os.Stat(path)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
		return Entry{}, ErrNone
	}
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", download.ErrUnavailable, err)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return Entry{}, refusal("the login in %s belongs to another user; choose another directory with --state-dir", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Entry{}, refusal("others can read the login in %s; change the password, and run 'downloadfs login' again", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", download.ErrUnavailable, err)
	}
	return decode(string(text))
}

// Set implements Store. The file is replaced as a whole, or stays as it was.
func (f Files) Set(key string, e Entry) error {
	text, err := encode(e)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(f.Dir, ".new-*") // readable by its user only
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), f.path(key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// Delete implements Store.
func (f Files) Delete(key string) error {
	err := os.Remove(f.path(key))
	if errors.Is(err, iofs.ErrNotExist) {
		return ErrNone
	}
	return err
}

// Keys implements Store.
func (f Files) Keys() ([]string, error) {
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", download.ErrUnavailable, err)
	}
	var keys []string
	for _, e := range entries {
		if key, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Find returns the entry of the first store that has one, and that store. It skips a
// store that cannot be asked if another has an entry.
func Find(stores []Store, key string) (Entry, Store, error) {
	failure := ErrNone
	for _, s := range stores {
		e, err := s.Get(key)
		if err == nil {
			return e, s, nil
		}
		if !errors.Is(err, ErrNone) && errors.Is(failure, ErrNone) {
			failure = err
		}
	}
	return Entry{}, nil, failure
}
