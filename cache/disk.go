package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"downloadfs/download"

	"golang.org/x/sys/unix"
)

// The names in the cache's directory.
const (
	lockName  = "lock"
	indexName = "index.db"
	tagName   = "CACHEDIR.TAG"
	filesName = "archives"
)

// tag is the content of CACHEDIR.TAG. The Cache Directory Tagging Specification fixes
// its first line.
const tag = `Signature: 8a477f597d28d172789f06886806bc55
# This directory holds archives that downloadfs can fetch again.
# See https://bford.info/cachedir/
`

// disk is the cache's directory, locked by this process.
type disk struct {
	dir  string
	lock *os.File
}

// openDisk makes the directory usable and locks it. It returns ErrLocked when another
// process has it, and any other error when it cannot be used.
func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	d := &disk{dir: dir, lock: lock}
	if err := d.prepare(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// prepare locks the directory and creates what is missing in it.
func (d *disk) prepare() error {
	err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return download.ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := os.Mkdir(d.files(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := private(d.files()); err != nil {
		return err
	}
	tagPath := filepath.Join(d.dir, tagName)
	if old, err := os.ReadFile(tagPath); err == nil && string(old) == tag {
		return nil
	}
	return os.WriteFile(tagPath, []byte(tag), 0o600)
}

// private makes sure that only this user can enter dir. What is read from it is
// served as the server's bytes.
func private(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s: %w", dir, unix.ENOTDIR)
	}
	if fi.Mode().Perm() == 0o700 {
		return nil
	}
	return os.Chmod(dir, 0o700)
}

// close unlocks the directory.
func (d *disk) close() error { return d.lock.Close() }

func (d *disk) files() string            { return filepath.Join(d.dir, filesName) }
func (d *disk) index() string            { return filepath.Join(d.dir, indexName) }
func (d *disk) path(name string) string  { return filepath.Join(d.files(), name) }
func (d *disk) remove(name string) error { return os.Remove(d.path(name)) }
func (d *disk) empty(name string) error  { return os.Truncate(d.path(name), 0) }

// create creates the data file of an archive. The file is as long as the archive and
// has no bytes in it yet.
func (d *disk) create(name string, size int64) (*os.File, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		d.remove(name)
		return nil, err
	}
	return f, nil
}

// open opens an existing data file.
func (d *disk) open(name string) (*os.File, error) {
	return os.OpenFile(d.path(name), os.O_RDWR, 0)
}

// free returns how many bytes an ordinary user can still write to the disk.
func (d *disk) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", d.dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// fileNamePattern matches what newFileName returns.
var fileNamePattern = regexp.MustCompile(`^[0-9a-f]{32}-[0-9a-f]{16}$`)

// fileHash is the part of a data file's name that depends on the id alone. Ids differ
// in case and may be long. File names on macOS ignore case, so the name has a hash.
func fileHash(id download.ID) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// newFileName returns a name for an archive's data file that was never used before. A
// late operation on an old file then cannot hit a new one.
func newFileName(id download.ID) string {
	return fmt.Sprintf("%s-%016x", fileHash(id), rand.Uint64())
}

// belongs reports whether newFileName could have made name for id.
func belongs(name string, id download.ID) bool {
	return fileNamePattern.MatchString(name) && strings.HasPrefix(name, fileHash(id))
}
