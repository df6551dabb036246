package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Open opens the journal at path, or makes it if there is none. It returns ErrLocked
// when another process has it, and ErrDamaged when it cannot be read.
func Open(path string, log *slog.Logger) (*Journal, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("create journal %s: %w", path, err)
		}
	}
	j := &Journal{path: path, log: log}
	if err := contain(j.openFile); err != nil {
		return nil, j.explain(err)
	}
	j.changes = make(chan change)
	j.stop = make(chan struct{})
	j.stopped = make(chan struct{})
	go j.write()
	return j, nil
}

// create makes an empty journal appear at path in one step. A file that exists was
// therefore complete once, and a short or empty one has been damaged.
func create(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(f.Name(), 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range append(buckets, Bucket(bucketDamaged)) {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		return meta.Put(keyVersion, binary.BigEndian.AppendUint64(nil, formatVersion))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// A link does not replace what another process made in the meantime.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		if err := os.Rename(f.Name(), path); err != nil { // no hard links here
			return err
		}
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j *Journal) openFile() error {
	info, err := os.Stat(j.path)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return errors.New("the file is empty") // bbolt would start afresh
	}
	j.db, err = bolt.Open(j.path, 0o600, &bolt.Options{
		Timeout: lockTimeout,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(path, flag&^os.O_CREATE, mode)
			j.file = f
			return f, err
		},
	})
	if err != nil {
		return err
	}
	if err := j.file.Chmod(0o600); err != nil {
		return err
	}
	// Nobody else can make it grow any more.
	if j.opened, err = j.file.Stat(); err != nil {
		return err
	}
	if err := j.check(j.opened.Size()); err != nil {
		return err
	}
	return j.addBuckets()
}

// addBuckets makes the buckets that an earlier version did not have.
func (j *Journal) addBuckets() error {
	missing := false
	err := j.db.View(func(tx *bolt.Tx) error {
		for _, name := range newBuckets {
			missing = missing || tx.Bucket([]byte(name)) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return j.db.Update(func(tx *bolt.Tx) error {
		for _, name := range newBuckets {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// check reports what is wrong with a file of size bytes.
func (j *Journal) check(size int64) error {
	return j.db.View(func(tx *bolt.Tx) error {
		if tx.Size() > size {
			return fmt.Errorf("the file has %d of %d bytes", size, tx.Size())
		}
		for _, name := range append(buckets, Bucket(bucketMeta), Bucket(bucketDamaged)) {
			if tx.Bucket([]byte(name)) == nil && !slices.Contains(newBuckets, name) {
				return fmt.Errorf("bucket %s is missing", name)
			}
		}
		version := tx.Bucket(bucketMeta).Get(keyVersion)
		if len(version) != 8 {
			return errors.New("the version is missing")
		}
		if v := binary.BigEndian.Uint64(version); v != formatVersion {
			return fmt.Errorf("made by another version of downloadfs (format %d, this one knows %d)", v, formatVersion)
		}
		return nil
	})
}

// explain says which file err is about and what to do, and abandons the file.
func (j *Journal) explain(err error) error {
	_ = j.abandon()
	var pathErr *os.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("journal %s: %w", j.path, ErrLocked)
	case errors.As(err, &pathErr):
		return fmt.Errorf("open journal: %w", err)
	}
	return fmt.Errorf("journal %s: %w: %w; move the file away to start without downloads "+
		"(you can adopt those of the server by their ids)", j.path, ErrDamaged, err)
}

// contain runs f and returns a panic in it as an error. bbolt maps its file: if the
// file is shorter than its pages say, or its disk fails, an ordinary access faults.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// abandon lets go of the file without bbolt's help. bbolt's map of the file stays, and
// would keep the lock.
func (j *Journal) abandon() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(syscall.Flock(int(j.file.Fd()), syscall.LOCK_UN), j.file.Close())
}
