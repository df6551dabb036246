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
	"sync"
	"syscall"
	"time"
)

// dirStore keeps objects as files in a directory that several machines have, for
// example one of an NFS server. Directories are 0700 and files 0600.
type dirStore struct {
	dir string

	mu     sync.Mutex // guards all below
	here   *place     // what is used
	next   *place     // what has taken its place; nil: nothing has
	gone   error      // why there is no directory; nil: there is
	looked time.Time
}

var (
	_ Store   = (*dirStore)(nil)
	_ renewer = (*dirStore)(nil)
)

// placeEvery is how often a store looks whether its directory is where it was.
const placeEvery = 3 * time.Second

// place is a directory as it was found at a path.
type place struct {
	root    *os.Root
	info    os.FileInfo
	mounted bool // a file system is mounted there
}

func openPlace(dir string) (*place, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	var above os.FileInfo
	if err == nil {
		above, err = os.Stat(dir + "/..") // of a link, it is above what the link leads to
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &place{root, info, info.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev}, nil
}

// OpenDir opens the directory as a store. It creates the directory if its parent is
// there. No symbolic link in it leads out of it. The directory's file system must have
// hard links: link(2) is the one call that creates a whole file only if there is none,
// on every machine that shares the directory.
func OpenDir(dir string) (Store, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return nil, err
	}
	here, err := openPlace(dir)
	if err != nil {
		return nil, err
	}
	return &dirStore{dir: dir, here: here, looked: time.Now()}, nil
}

// root returns the directory. It returns errReplaced while another one is in its place,
// until renew, and another error while there is none.
func (d *dirStore) root() (*os.Root, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.looked) >= placeEvery {
		d.looked = time.Now() // the others go on meanwhile
		here := d.here
		d.mu.Unlock()
		next, err := d.look(here)
		d.mu.Lock()
		if d.here == here {
			next, d.next, d.gone = d.next, next, err
		}
		if next != nil {
			next.root.Close()
		}
	}
	switch {
	case d.gone != nil:
		return nil, d.gone
	case d.next != nil:
		return nil, errReplaced
	}
	return d.here.root, nil
}

// look returns what has taken the place of a directory, or nil. It does not touch that
// directory, whose file system may hang.
func (d *dirStore) look(was *place) (*place, error) {
	now, err := openPlace(d.dir)
	if err != nil {
		// No ErrNotExist: that would be said of an object.
		return nil, fmt.Errorf("the shared directory cannot be opened any more: %v", err)
	}
	if os.SameFile(was.info, now.info) {
		now.root.Close()
		return nil, nil
	}
	if was.mounted && !now.mounted {
		now.root.Close()
		return nil, fmt.Errorf("nothing is mounted at %s any more", d.dir)
	}
	return now, nil
}

// replaced implements renewer.
func (d *dirStore) replaced() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next != nil
}

// renew implements renewer.
func (d *dirStore) renew() {
	d.mu.Lock()
	old := d.here
	if d.next != nil {
		d.here, d.next = d.next, nil
	}
	renewed := d.here != old
	d.mu.Unlock()
	if renewed {
		old.root.Close()
	}
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
	root, err := d.root()
	if err != nil {
		return err
	}
	name := path.Join(path.Dir(key), partial+rand.Text())
	f, err := createFile(root, name)
	if err != nil {
		return err
	}
	defer func() {
		if removing := root.Remove(name); err == nil {
			err = removing
		}
	}()
	if _, err = f.Write(body); err == nil {
		err = f.Sync() // before it gets its name: a crash must not leave a torn object
	}
	if err = errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return err
	}
	err = root.Link(name, key)
	if errors.Is(err, iofs.ErrExist) && sameFile(root, name, key) {
		return nil // an NFS server was asked twice and had done it the first time
	}
	if err != nil && !errors.Is(err, iofs.ErrExist) {
		return fmt.Errorf("%w (the directory's file system must have hard links)", err)
	}
	return err
}

// createFile makes an empty file, and its directory if that is missing.
func createFile(root *os.Root, name string) (*os.File, error) {
	for tries := 0; ; tries++ {
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, iofs.ErrNotExist) || tries == 10 {
			return f, err
		}
		// Somebody who deletes may remove the empty directory again.
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return nil, err
		}
	}
}

func sameFile(root *os.Root, a, b string) bool {
	x, errX := root.Lstat(a)
	y, errY := root.Lstat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// Open implements Store.
func (d *dirStore) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a FIFO that somebody has put there does not wait for a writer.
	f, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
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
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	return listDir(ctx, root.FS(), nil, strings.TrimSuffix(prefix, "/"))
}

func listDir(ctx context.Context, root iofs.FS, found []Object, dir string) ([]Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := iofs.ReadDir(root, path.Clean(dir))
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
			if found, err = listDir(ctx, root, found, name); err != nil {
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
	root, err := d.root()
	if err != nil {
		return err
	}
	if err := root.Remove(key); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if root.Remove(dir) != nil {
			break // not empty
		}
	}
	return nil
}

// Sweep removes what mounts that died have left half written. It returns how many
// files it removed.
func (d *dirStore) Sweep(ctx context.Context, now time.Time) (int, error) {
	root, err := d.root()
	if err != nil {
		return 0, err
	}
	n := 0
	err = iofs.WalkDir(root.FS(), ".", func(name string, e iofs.DirEntry, err error) error {
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
		if err == nil && now.Sub(info.ModTime()) > abandonedAfter && root.Remove(name) == nil {
			n++
		}
		return nil
	})
	return n, err
}

// Close implements Store.
func (d *dirStore) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.here.root.Close()
	if d.next != nil {
		err = errors.Join(err, d.next.root.Close())
	}
	return err
}
