package share

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// dirStore keeps objects as files in a directory that several machines have, for
// example one of an NFS server. Directories are 0700 and files 0600.
type dirStore struct{ root *os.Root }

var _ Store = (*dirStore)(nil)

// OpenDir opens the directory as a store. It creates the directory if its parent is
// there. No symbolic link in it leads out of it. The directory's file system must have
// hard links: link(2) is the one call that creates a whole file only if there is none,
// on every machine that shares the directory.
func OpenDir(dir string) (Store, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &dirStore{root}, nil
}

// Names that begin with partial are files that are still being written.
const partial = ".partial-"

// abandonedAfter is when a file that is still being written belongs to nobody.
const abandonedAfter = 24 * time.Hour

// Create implements Store.
func (d *dirStore) Create(ctx context.Context, key string, body []byte) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := path.Join(path.Dir(key), partial+rand.Text())
	f, err := d.create(name)
	if err != nil {
		return err
	}
	defer func() {
		if removing := d.root.Remove(name); err == nil {
			err = removing
		}
	}()
	if _, err = f.Write(body); err == nil {
		err = f.Sync() // before it gets its name: a crash must not leave a torn object
	}
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return err
	}
	err = d.root.Link(name, key)
	if errors.Is(err, iofs.ErrExist) && d.same(name, key) {
		return nil // an NFS server was asked twice and had done it the first time
	}
	if err != nil && !errors.Is(err, iofs.ErrExist) {
		return fmt.Errorf("%w (the directory's file system must have hard links)", err)
	}
	return err
}

// create makes an empty file, and its directory if that is missing.
func (d *dirStore) create(name string) (*os.File, error) {
	for tries := 0; ; tries++ {
		f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, iofs.ErrNotExist) || tries == 10 {
			return f, err
		}
		// Somebody who deletes may remove the empty directory again.
		if err := d.root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return nil, err
		}
	}
}

func (d *dirStore) same(a, b string) bool {
	x, errX := d.root.Lstat(a)
	y, errY := d.root.Lstat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// Open implements Store.
func (d *dirStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a FIFO that somebody has put there does not wait for a writer.
	f, err := d.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s is not an object", key))
	}
	if n < 0 {
		n = 1<<63 - 1 - off
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, n), f}, nil
}

// List implements Store.
func (d *dirStore) List(ctx context.Context, prefix string) ([]Object, error) {
	return d.list(ctx, nil, strings.TrimSuffix(prefix, "/"))
}

func (d *dirStore) list(ctx context.Context, found []Object, dir string) ([]Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := iofs.ReadDir(d.root.FS(), path.Clean(dir))
	if errors.Is(err, iofs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), partial):
		case e.IsDir():
			if found, err = d.list(ctx, found, name); err != nil {
				return nil, err
			}
		case e.Type().IsRegular():
			info, err := e.Info()
			if errors.Is(err, iofs.ErrNotExist) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			found = append(found, Object{Key: name, Size: info.Size(), ModTime: info.ModTime()})
		}
	}
	return found, nil
}

// Delete implements Store. It also removes the directories that become empty.
func (d *dirStore) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.root.Remove(key); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if d.root.Remove(dir) != nil {
			break // not empty
		}
	}
	return nil
}

// Sweep removes what mounts that died have left half written. It returns how many
// files it removed.
func (d *dirStore) Sweep(ctx context.Context, now time.Time) (int, error) {
	n := 0
	err := iofs.WalkDir(d.root.FS(), ".", func(name string, e iofs.DirEntry, err error) error {
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), partial) {
			return nil
		}
		info, err := e.Info()
		if err == nil && now.Sub(info.ModTime()) > abandonedAfter && d.root.Remove(name) == nil {
			n++
		}
		return nil
	})
	return n, err
}

// Close implements Store.
func (d *dirStore) Close() error { return d.root.Close() }
