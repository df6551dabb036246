package download

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// journal remembers downloads, and what is still to be done on the server, in a
// bbolt file:
//
//	meta       version; its sequence gives out the serials
//	downloads  serial → downloadRecord
//	nodes      serial → nodesRecord
//	removals   serial → removalRecord
//	damaged    what could not be decoded, by bucket and serial
//
// One goroutine writes. It takes all changes that wait into one transaction, so
// that many at once cost few fsyncs.
type journal struct {
	path string
	log  *slog.Logger
	db   *bolt.DB
	file *os.File // the same file that db uses

	changes chan change
	stop    chan struct{} // closed by close
	stopped chan struct{} // closed when the writer has ended
	broken  error         // only the writer uses it, close after the writer ended
}

// change is one caller's part of a transaction. apply may run more than once
// and must not change anything but the transaction until it is committed.
type change struct {
	apply func(tx *bolt.Tx) error
	done  chan error
}

const (
	journalVersion = 1
	lockTimeout    = 250 * time.Millisecond
	// maxChanges bounds one transaction.
	maxChanges = 1024
)

var (
	bucketMeta      = []byte("meta")
	bucketDownloads = []byte("downloads")
	bucketNodes     = []byte("nodes")
	bucketRemovals  = []byte("removals")
	bucketDamaged   = []byte("damaged")
	keyVersion      = []byte("version")
)

// openJournal opens the journal at path, or makes one where there is none.
// ErrLocked when another process has it, ErrDamaged when it cannot be read.
func openJournal(path string, log *slog.Logger) (*journal, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := createJournal(path); err != nil {
			return nil, fmt.Errorf("create journal %s: %w", path, err)
		}
	}
	j := &journal{path: path, log: log}
	if err := contain(j.openFile); err != nil {
		return nil, j.explain(err)
	}
	j.changes = make(chan change)
	j.stop = make(chan struct{})
	j.stopped = make(chan struct{})
	go j.write()
	return j, nil
}

// createJournal makes an empty journal appear at path in one step, so that a
// file that exists was complete once: what is short or empty has been damaged.
func createJournal(path string) error {
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
		for _, name := range [][]byte{bucketDownloads, bucketNodes, bucketRemovals, bucketDamaged} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(bucketMeta)
		if err != nil {
			return err
		}
		return meta.Put(keyVersion, binary.BigEndian.AppendUint64(nil, journalVersion))
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

func (j *journal) openFile() error {
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
	if info, err = j.file.Stat(); err != nil {
		return err
	}
	return j.db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("the file has %d of %d bytes", info.Size(), tx.Size())
		}
		for _, name := range [][]byte{bucketMeta, bucketDownloads, bucketNodes, bucketRemovals, bucketDamaged} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("bucket %s is missing", name)
			}
		}
		version := tx.Bucket(bucketMeta).Get(keyVersion)
		if len(version) != 8 {
			return errors.New("the version is missing")
		}
		if v := binary.BigEndian.Uint64(version); v != journalVersion {
			return fmt.Errorf("made by another version of downloadfs (format %d, this one knows %d)", v, journalVersion)
		}
		return nil
	})
}

// explain says which file err is about and what to do, and lets go of the file.
func (j *journal) explain(err error) error {
	_ = j.abandon()
	var pathErr *os.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("journal %s: %w", j.path, ErrLocked)
	case errors.As(err, &pathErr):
		return fmt.Errorf("open journal: %w", err)
	}
	return fmt.Errorf("journal %s: %w: %w; move it away to start with an empty list "+
		"(downloads listed in it can be adopted by id)", j.path, ErrDamaged, err)
}

// contain runs f and returns a panic in it as an error. bbolt maps its file:
// a file that is shorter than its pages say, or whose disk fails, is a fault in
// the middle of an ordinary access.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// update applies a change durably: when it returns nil the change is on disk.
func (j *journal) update(apply func(tx *bolt.Tx) error) error {
	c := change{apply, make(chan error, 1)}
	select {
	case j.changes <- c:
		return <-c.done
	case <-j.stop:
		return fmt.Errorf("journal: %w", ErrClosed)
	}
}

// close ends the writer and closes the file. Changes that wait are refused.
func (j *journal) close() error {
	close(j.stop)
	<-j.stopped
	if j.broken != nil {
		// A transaction that ended in a panic may hold bbolt's locks for ever.
		return j.abandon()
	}
	if err := contain(j.db.Close); err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
	}
	return nil
}

// abandon lets go of the file without bbolt's help. Its map of the file stays,
// and would keep the lock.
func (j *journal) abandon() error {
	if j.file == nil {
		return nil
	}
	return errors.Join(syscall.Flock(int(j.file.Fd()), syscall.LOCK_UN), j.file.Close())
}

// write is the writer.
func (j *journal) write() {
	defer close(j.stopped)
	for {
		var group []change
		select {
		case c := <-j.changes:
			group = append(group, c)
		case <-j.stop:
			return
		}
	gather:
		for len(group) < maxChanges {
			select {
			case c := <-j.changes:
				group = append(group, c)
			default:
				break gather
			}
		}
		j.commit(group)
	}
}

// commit applies a group in one transaction. A change that fails is taken out
// and the others are tried again.
func (j *journal) commit(group []change) {
	for len(group) > 0 {
		bad := -1
		err := j.broken
		if err == nil {
			err = j.transact(group, &bad)
		}
		if bad >= 0 {
			group[bad].done <- err
			group = append(group[:bad], group[bad+1:]...)
			continue
		}
		for _, c := range group {
			c.done <- err
		}
		return
	}
}

func (j *journal) transact(group []change, bad *int) error {
	finished := false
	err := contain(func() error {
		err := j.db.Update(func(tx *bolt.Tx) error {
			for i, c := range group {
				if err := c.apply(tx); err != nil {
					*bad = i
					return err
				}
			}
			return nil
		})
		finished = true
		return err
	})
	if !finished {
		*bad = -1
		j.broken = fmt.Errorf("journal %s: %w: %w; restart, and move the file away if it does not open",
			j.path, ErrDamaged, err)
		j.log.Error("journal cannot be written any more", "op", "journal", "err", j.broken)
		return j.broken
	}
	if err != nil && *bad < 0 {
		return fmt.Errorf("write journal %s: %w", j.path, err)
	}
	return err
}

// journalContent is all that a journal holds, oldest first.
type journalContent struct {
	downloads []storedDownload
	removals  []storedRemoval
}

type storedDownload struct {
	serial uint64
	record downloadRecord
	nodes  []NodeID
}

type storedRemoval struct {
	serial uint64
	record removalRecord
}

// load reads everything. What is damaged is set aside in its own bucket, so that
// it neither stops the rest nor is lost.
func (j *journal) load() (journalContent, error) {
	l := loader{log: j.log, ids: make(map[ID]bool), names: make(map[string]bool)}
	err := contain(func() error { return j.db.View(l.load) })
	if err != nil {
		return journalContent{}, j.explain(err)
	}
	if err := j.update(l.mend); err != nil { // a full disk must not stop the mount
		j.log.Warn("journal cannot be mended", "op", "journal", "err", err)
	}
	return l.content, nil
}

// loader reads a journal.
type loader struct {
	log     *slog.Logger
	content journalContent
	ids     map[ID]bool
	names   map[string]bool
	highest uint64
	damage  []damage
}

type damage struct{ bucket, key []byte }

func (l *loader) load(tx *bolt.Tx) error {
	nodes := make(map[uint64][]NodeID)
	l.each(tx, bucketNodes, func(serial uint64, v []byte) error {
		list, err := decodeNodes(v)
		nodes[serial] = list
		return err
	})
	l.each(tx, bucketDownloads, func(serial uint64, v []byte) error {
		return l.download(serial, v, nodes[serial])
	})
	l.each(tx, bucketRemovals, l.removal)
	return nil
}

func (l *loader) each(tx *bolt.Tx, bucket []byte, decode func(serial uint64, v []byte) error) {
	c := tx.Bucket(bucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		err := errors.New("key is no serial")
		if len(k) == 8 && binary.BigEndian.Uint64(k) != 0 {
			serial := binary.BigEndian.Uint64(k)
			l.highest = max(l.highest, serial)
			err = decode(serial, v)
		}
		if err != nil {
			l.log.Error("journal record is damaged and set aside", "op", "journal",
				"bucket", string(bucket), "key", fmt.Sprintf("%x", k), "err", err)
			l.damage = append(l.damage, damage{bucket, bytes.Clone(k)})
		}
	}
}

func (l *loader) download(serial uint64, v []byte, nodes []NodeID) error {
	rec, err := decodeDownload(v)
	if err != nil {
		return err
	}
	if l.ids[rec.ID] {
		return fmt.Errorf("download %s is there twice", rec.ID)
	}
	if rec.Name != "" && l.names[rec.Name] {
		l.log.Warn("name is taken, using the id", "op", "journal", "download", rec.ID)
		rec.Name = ""
	}
	l.ids[rec.ID], l.names[rec.Name] = true, true
	l.content.downloads = append(l.content.downloads, storedDownload{serial, rec, nodes})
	return nil
}

func (l *loader) removal(serial uint64, v []byte) error {
	rec, err := decodeRemoval(v)
	if err != nil {
		return err
	}
	if rec.Delete && l.ids[rec.ID] {
		return fmt.Errorf("download %s is both listed and removed", rec.ID)
	}
	l.content.removals = append(l.content.removals, storedRemoval{serial, rec})
	return nil
}

// mend moves the damaged records away and sees to it that the serial of one
// that cannot be read is not given out again.
func (l *loader) mend(tx *bolt.Tx) error {
	for _, d := range l.damage {
		from := tx.Bucket(d.bucket)
		value := from.Get(d.key)
		if value == nil {
			continue // a bucket where a record should be: leave it
		}
		key := slices.Concat(d.bucket, []byte("/"), d.key)
		if err := tx.Bucket(bucketDamaged).Put(key, bytes.Clone(value)); err != nil {
			return err
		}
		if err := from.Delete(d.key); err != nil {
			return err
		}
	}
	if meta := tx.Bucket(bucketMeta); meta.Sequence() < l.highest {
		return meta.SetSequence(l.highest)
	}
	return nil
}

func serialKey(serial uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), serial)
}

func put(tx *bolt.Tx, bucket []byte, serial uint64, rec any) error {
	b, err := encodeRecord(rec)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(serialKey(serial), b)
}

// nextSerial gives out a serial that this journal never gave out before.
func nextSerial(tx *bolt.Tx) (uint64, error) { return tx.Bucket(bucketMeta).NextSequence() }
