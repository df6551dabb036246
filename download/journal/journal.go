package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Journal is an open file:
//
//	meta       version; its sequence gives out the serials
//	BUCKET     serial → record, for each Bucket
//	damaged    what could not be decoded, by bucket and serial
//
// One goroutine writes. It puts all waiting changes into one transaction, so that many
// at once cost few fsyncs. Journal's methods are safe for concurrent use.
type Journal struct {
	path string
	log  *slog.Logger
	db   *bolt.DB
	file *os.File // the same file that db uses
	// opened is what the file was when it was opened.
	opened os.FileInfo

	changes chan change
	stop    chan struct{} // closed by Close
	stopped chan struct{} // closed when the writer has ended
	broken  error         // used by the writer only, and by Close after the writer has ended
}

// Bucket is a kind of record.
type Bucket string

const (
	Downloads Bucket = "downloads"
	Nodes     Bucket = "nodes"
	Removals  Bucket = "removals"
	Plans     Bucket = "plans"
	Parts     Bucket = "parts"
)

// buckets are all kinds, in loading order.
var buckets = []Bucket{Nodes, Plans, Downloads, Removals, Parts}

// newBuckets may be missing from a journal that an earlier version made.
var newBuckets = []Bucket{Plans, Parts}

var (
	// ErrLocked: another process has the file.
	ErrLocked = errors.New("in use by another process")
	// ErrDamaged: the file cannot be read; the text says what to do.
	ErrDamaged = errors.New("damaged")
	// errGone: the file was deleted, or another is in its place.
	errGone = errors.New("it was deleted or moved away; move it back, or unmount and mount again to start without downloads " +
		"(you can adopt those of the server by their ids)")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("closed")
)

// change is one caller's part of a transaction. apply may run more than once and must
// change nothing but the transaction until it is committed.
type change struct {
	apply func(tx Tx) error
	done  chan error
}

const (
	formatVersion = 1
	lockTimeout   = 250 * time.Millisecond
	// maxChanges bounds one transaction.
	maxChanges = 1024
)

var (
	bucketMeta    = []byte("meta")
	bucketDamaged = []byte("damaged")
	keyVersion    = []byte("version")
)

// Update applies a change durably: when it returns nil, the change is on disk. apply
// may run more than once and must change nothing but tx. After Close, Update returns
// ErrClosed.
func (j *Journal) Update(apply func(tx Tx) error) error {
	c := change{apply, make(chan error, 1)}
	select {
	case j.changes <- c:
		return <-c.done
	case <-j.stop:
		return fmt.Errorf("journal: %w", ErrClosed)
	}
}

// Close ends the writer and closes the file. It refuses changes that wait.
func (j *Journal) Close() error {
	j.stopWriter()
	if j.broken != nil {
		// A transaction that ended in a panic may hold bbolt's locks for ever.
		return j.abandon()
	}
	if err := contain(j.db.Close); err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
	}
	return nil
}

func (j *Journal) stopWriter() {
	close(j.stop)
	<-j.stopped
}

// write is the writer's goroutine.
func (j *Journal) write() {
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

// commit applies a group in one transaction. It takes out a change that fails and tries
// the others again.
func (j *Journal) commit(group []change) {
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

func (j *Journal) transact(group []change, bad *int) error {
	finished := false
	err := contain(func() error {
		err := j.db.Update(func(tx *bolt.Tx) error {
			for i, c := range group {
				if err := c.apply(Tx{tx}); err != nil {
					*bad = i
					return err
				}
			}
			return j.inPlace()
		})
		finished = true
		return err
	})
	if !finished {
		*bad = -1
		j.broken = fmt.Errorf("journal %s: %w: %w; restart, and move the file away if the journal does not open",
			j.path, ErrDamaged, err)
		j.log.Error("the journal cannot be written any more", "op", "journal", "err", j.broken)
		return j.broken
	}
	if err != nil && *bad < 0 {
		return fmt.Errorf("write journal %s: %w", j.path, err)
	}
	return err
}

// inPlace returns an error unless the file is where the next mount looks for it. A file
// that was deleted can be written and synced as ever, and is gone with the process.
func (j *Journal) inPlace() error {
	info, err := os.Stat(j.path)
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case err == nil && os.SameFile(info, j.opened):
		return nil
	}
	return errGone
}
