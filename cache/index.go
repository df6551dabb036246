package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
)

// errIndex means that the index cannot be read or written.
var errIndex = errors.New("the cache index cannot be used")

// The index has two buckets, keyed by the name of the data file. No name is used
// twice, so a late write about a dropped file cannot touch the records of its
// successor.
var (
	bucketFiles  = []byte("files")  // name -> meta
	bucketBlocks = []byte("blocks") // name, 0, chunk number (4 bytes) -> chunk
)

// index remembers which blocks are on disk. It is not safe for concurrent use.
type index struct {
	db   *bolt.DB
	path string
	// broken says that bbolt panicked. After that, not even its Close is sure to
	// return.
	broken bool
}

// record is everything the index knows about one data file.
type record struct {
	name   string
	meta   meta
	chunks map[uint32]chunk
}

// change is what one commit does to the records of one data file.
type change struct {
	name   string
	remove bool // forget the file; the other fields are ignored
	meta   meta
	blocks []blockChange
}

// blockChange claims a block with its sum, or withdraws the claim.
type blockChange struct {
	block int
	sum   uint32
	claim bool
}

// openIndex opens the index at path, or creates it.
func openIndex(path string) (*index, error) {
	x := &index{path: path}
	err := x.guard(func() error {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, NoStatistics: true})
		if err != nil {
			return err
		}
		// By default a large index grows in steps of 16 MiB, which would count
		// against the limit.
		db.AllocSize = 64 << 10
		x.db = db
		return db.Update(func(tx *bolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists(bucketFiles); err != nil {
				return err
			}
			_, err := tx.CreateBucketIfNotExists(bucketBlocks)
			return err
		})
	})
	if err != nil {
		x.close()
		return nil, fmt.Errorf("open index: %w: %w", errIndex, err)
	}
	return x, nil
}

// load returns every record. It skips records that it cannot decode and logs them.
// The blocks that they claimed are fetched again.
func (x *index) load(log *slog.Logger) (map[string]*record, error) {
	records := make(map[string]*record)
	err := x.guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			err := tx.Bucket(bucketFiles).ForEach(func(k, v []byte) error {
				m, err := decodeMeta(v)
				if err != nil {
					log.Warn("a damaged record of the cache index is skipped", "op", "load", "err", err)
					return nil
				}
				records[string(k)] = &record{name: string(k), meta: m, chunks: make(map[uint32]chunk)}
				return nil
			})
			if err != nil {
				return err
			}
			return tx.Bucket(bucketBlocks).ForEach(func(k, v []byte) error {
				name, num, err := decodeChunkKey(k)
				if err != nil {
					log.Warn("a damaged record of the cache index is skipped", "op", "load", "err", err)
					return nil
				}
				rec := records[name]
				if rec == nil {
					return nil
				}
				ch, err := decodeChunk(v)
				if err == nil && int64(num)*chunkBlocks+int64(ch.top()) > int64(blockCount(rec.meta.info.Size)) {
					err = fmt.Errorf("chunk %d beyond the archive: %w", num, errRecord)
				}
				if err != nil {
					log.Warn("a damaged record of the cache index is skipped", "op", "load", "download", rec.meta.info.ID, "err", err)
					return nil
				}
				rec.chunks[num] = ch
				return nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("load index: %w: %w", errIndex, err)
	}
	return records, nil
}

// commit applies all changes in one transaction, or none. It returns when they are on
// disk. Removals come last.
func (x *index) commit(changes []change) error {
	err := x.guard(func() error {
		return x.db.Update(func(tx *bolt.Tx) error {
			for _, ch := range changes {
				if !ch.remove {
					if err := put(tx, ch); err != nil {
						return err
					}
				}
			}
			for _, ch := range changes {
				if ch.remove {
					if err := remove(tx, ch.name); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("commit index: %w: %w", errIndex, err)
	}
	return nil
}

func put(tx *bolt.Tx, ch change) error {
	if err := tx.Bucket(bucketFiles).Put([]byte(ch.name), ch.meta.append(nil)); err != nil {
		return err
	}
	blocks := tx.Bucket(bucketBlocks)
	touched := make(map[uint32]*chunk)
	for _, bc := range ch.blocks {
		num, i := uint32(bc.block/chunkBlocks), bc.block%chunkBlocks
		c := touched[num]
		if c == nil {
			c = new(chunk)
			if old, err := decodeChunk(blocks.Get(chunkKey(ch.name, num))); err == nil {
				*c = old
			}
			touched[num] = c
		}
		if bc.claim {
			c.set(i, bc.sum)
		} else {
			c.clear(i)
		}
	}
	for num, c := range touched {
		if err := blocks.Put(chunkKey(ch.name, num), c.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

func remove(tx *bolt.Tx, name string) error {
	if err := tx.Bucket(bucketFiles).Delete([]byte(name)); err != nil {
		return err
	}
	// Collect the keys first: deleting under a moving bbolt cursor skips keys.
	var keys [][]byte
	prefix := append([]byte(name), 0)
	c := tx.Bucket(bucketBlocks).Cursor()
	for k, _ := c.Seek(prefix); len(k) == len(prefix)+4 && string(k[:len(prefix)]) == string(prefix); k, _ = c.Next() {
		keys = append(keys, append([]byte(nil), k...))
	}
	for _, k := range keys {
		if err := tx.Bucket(bucketBlocks).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// size returns the length of the index file.
func (x *index) size() int64 {
	fi, err := os.Stat(x.path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// close closes the index. You may call it on an index that failed to open.
func (x *index) close() error {
	if x.db == nil || x.broken {
		return nil
	}
	db := x.db
	x.db = nil
	return x.guard(db.Close)
}

// chunkKey is the key of chunk num of a data file.
func chunkKey(name string, num uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(name), 0), num)
}

// decodeChunkKey is the inverse of chunkKey. It returns errRecord for any other key.
func decodeChunkKey(k []byte) (name string, num uint32, err error) {
	n := len(k) - 5
	if n <= 0 || k[n] != 0 {
		return "", 0, fmt.Errorf("chunk key: %w", errRecord)
	}
	return string(k[:n]), binary.BigEndian.Uint32(k[n+1:]), nil
}

// guard runs f and returns a panic as an error. That includes the fault of touching a
// mapped page that the file no longer has: bbolt reads through a mapping and has
// assertions, and a damaged file misleads it.
func (x *index) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			x.broken = true
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}
