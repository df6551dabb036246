package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func mustOpen(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := Open(path, testLog(t))
	require.NoError(t, err)
	return j
}

type record struct {
	Name string `json:"name"`
}

// fill makes a journal with n downloads and returns its path.
func fill(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpen(t, path)
	require.NoError(t, j.Update(func(tx Tx) error {
		for i := range n {
			serial, err := tx.NextSerial()
			if err != nil {
				return err
			}
			if err := tx.Put(Downloads, serial, record{fmt.Sprintf("a download of some length, number %d", i)}); err != nil {
				return err
			}
			if err := tx.Put(Nodes, serial, record{"11111111-1111-4111-8111-111111111111 and 22222222-2222-4222-8222-222222222222"}); err != nil {
				return err
			}
		}
		return tx.Put(Removals, 99999, record{"gone"})
	}))
	require.NoError(t, j.Close())
	return path
}

// load returns the names in a bucket, by serial.
func load(t *testing.T, j *Journal) (map[Bucket]map[uint64]string, error) {
	t.Helper()
	all := map[Bucket]map[uint64]string{Nodes: {}, Downloads: {}, Removals: {}}
	err := j.Load(func(b Bucket, serial uint64, v []byte) error {
		var r record
		if err := Decode(v, 1<<10, &r); err != nil {
			return err
		}
		all[b][serial] = r.Name
		return nil
	})
	return all, err
}

func TestJournalKeepsRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpen(t, path)
	require.NoError(t, j.Update(func(tx Tx) error {
		return errors.Join(
			tx.Put(Downloads, 7, record{"seven"}), tx.Put(Nodes, 7, record{"its nodes"}),
			tx.Put(Downloads, 3, record{"three"}), tx.Put(Downloads, 4, record{"four"}), tx.Delete(Downloads, 4),
			tx.Put(Removals, 5, record{"five"}))
	}))
	require.NoError(t, j.Close())

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary files")

	j = mustOpen(t, path)
	defer func() { require.NoError(t, j.Close()) }()
	all, err := load(t, j)
	require.NoError(t, err)
	assert.Equal(t, map[Bucket]map[uint64]string{
		Downloads: {3: "three", 7: "seven"}, Nodes: {7: "its nodes"}, Removals: {5: "five"},
	}, all)
	require.NoError(t, j.Update(func(tx Tx) error {
		serial, err := tx.NextSerial()
		assert.EqualValues(t, 8, serial, "a serial in use is not given out, whatever the sequence says")
		return err
	}))
}

// Proves S-50.
func TestJournalMendsTheMode(t *testing.T) {
	path := fill(t, 1)
	require.NoError(t, os.Chmod(path, 0o644))
	j := mustOpen(t, path)
	require.NoError(t, j.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestJournalSerialsAreNeverReused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	seen := make(map[uint64]bool)
	for range 3 {
		j := mustOpen(t, path)
		for range 3 {
			require.NoError(t, j.Update(func(tx Tx) error {
				serial, err := tx.NextSerial()
				require.NoError(t, err)
				assert.NotZero(t, serial)
				assert.False(t, seen[serial], serial)
				seen[serial] = true
				require.NoError(t, tx.Put(Downloads, serial, record{"x"}))
				return tx.Delete(Downloads, serial)
			}))
		}
		require.NoError(t, j.Close())
	}
}

// Proves S-35.
func TestJournalIsLocked(t *testing.T) {
	path := fill(t, 1)
	j := mustOpen(t, path)
	began := time.Now()
	_, err := Open(path, testLog(t))
	require.ErrorIs(t, err, ErrLocked)
	assert.Contains(t, err.Error(), path)
	assert.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, j.Close())
	j = mustOpen(t, path)
	require.NoError(t, j.Close())
}

// Two that start at the same moment: one of them gets the new journal.
func TestJournalIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var opened []*Journal
	for range 8 {
		wg.Go(func() {
			j, err := Open(path, testLog(t))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				opened = append(opened, j)
			} else {
				assert.ErrorIs(t, err, ErrLocked)
			}
		})
	}
	wg.Wait()
	require.Len(t, opened, 1)
	require.NoError(t, opened[0].Close())
}

func TestJournalNeedsItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "journal.db")
	_, err := Open(path, testLog(t))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, err.Error(), path)
}

// A file that was deleted can be written, but no next mount finds it.
// Proves S-235.
func TestJournalMovedAway(t *testing.T) {
	put := func(j *Journal, name string) error {
		return j.Update(func(tx Tx) error { return tx.Put(Downloads, 1, record{name}) })
	}
	for name, away := range map[string]func(path string) error{
		"the file is deleted":      os.Remove,
		"its directory is deleted": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"its directory is moved":   func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+"-moved") },
		"another file is in its place": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state", "journal.db")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			j := mustOpen(t, path)
			defer func() { require.NoError(t, j.Close()) }()
			require.NoError(t, put(j, "before"))
			require.NoError(t, away(path))
			err := put(j, "after")
			require.ErrorIs(t, err, errGone)
			assert.Contains(t, err.Error(), path)
			if name != "its directory is moved" {
				return
			}
			require.NoError(t, os.Rename(filepath.Dir(path)+"-moved", filepath.Dir(path)))
			all, err := load(t, j)
			require.NoError(t, err)
			assert.Equal(t, map[uint64]string{1: "before"}, all[Downloads], "what failed was written")
			require.NoError(t, put(j, "again"))
		})
	}
}

// openAndLoad does what a start does.
func openAndLoad(t *testing.T, path string) (*Journal, error) {
	j, err := Open(path, testLog(t))
	if err != nil {
		return nil, err
	}
	_, err = load(t, j)
	return j, err
}

// A journal that cannot be read is not replaced, and causes no crash.
// Proves S-36.
func TestJournalDamagedFile(t *testing.T) {
	whole, err := os.ReadFile(fill(t, 2000))
	require.NoError(t, err)
	require.Greater(t, len(whole), 256<<10)
	used := usedBytes(t, whole)
	random := bytes.Repeat([]byte("no journal "), 10000)
	for name, data := range map[string][]byte{
		"empty":             {},
		"one byte":          whole[:1],
		"half a page":       whole[:2000],
		"meta pages only":   whole[:8192],
		"half":              whole[:len(whole)/2],
		"all but a page":    whole[:used-4096],
		"something else":    random,
		"zeroes":            make([]byte, 64<<10),
		"no meta pages":     append(make([]byte, 8192), whole[8192:]...),
		"garbage after two": append(bytes.Clone(whole[:8192]), bytes.Repeat([]byte{0xA5}, len(whole)-8192)...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			require.NoError(t, os.WriteFile(path, data, 0o600))
			_, err := openAndLoad(t, path)
			require.ErrorIs(t, err, ErrDamaged)
			assert.NotContains(t, err.Error(), "\n", "one message")
			assert.Contains(t, err.Error(), path)
			assert.Contains(t, err.Error(), "move the file away")
			after, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			assert.True(t, bytes.Equal(data, after), "the file is untouched")

			// Nothing holds on to it: after it was moved away, a new one can be made.
			require.NoError(t, os.Rename(path, path+".old"))
			j := mustOpen(t, path)
			require.NoError(t, j.Close())
		})
	}
}

// usedBytes returns up to where a journal's pages go in its file.
func usedBytes(t *testing.T, data []byte) (used int64) {
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	j := mustOpen(t, path)
	require.NoError(t, j.db.View(func(tx *bolt.Tx) error {
		used = tx.Size()
		return nil
	}))
	require.NoError(t, j.Close())
	return used
}

// Any page of the file may be garbage. Load returns an error or the remaining records,
// and never crashes.
func TestJournalGarbagePages(t *testing.T) {
	whole, err := os.ReadFile(fill(t, 300))
	require.NoError(t, err)
	for page := range len(whole) / 4096 {
		path := filepath.Join(t.TempDir(), "journal.db")
		data := bytes.Clone(whole)
		copy(data[page*4096+16:], bytes.Repeat([]byte{0x5A}, 200))
		require.NoError(t, os.WriteFile(path, data, 0o600))
		j, err := Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			assert.ErrorIs(t, err, ErrDamaged, "page %d", page)
			continue
		}
		if _, err = load(t, j); err != nil {
			assert.ErrorIs(t, err, ErrDamaged, "page %d", page)
			assert.NotContains(t, err.Error(), "\n", "one message")
			continue
		}
		_ = j.Close()
	}
}

func TestJournalOfAnotherVersion(t *testing.T) {
	path := fill(t, 1)
	j := mustOpen(t, path)
	require.NoError(t, j.Update(func(tx Tx) error {
		return tx.tx.Bucket(bucketMeta).Put(keyVersion, []byte{0, 0, 0, 0, 0, 0, 0, 2})
	}))
	require.NoError(t, j.Close())
	_, err := Open(path, testLog(t))
	require.ErrorIs(t, err, ErrDamaged)
	assert.Contains(t, err.Error(), "another version")
}

// Damaged records are set aside and the others are there: keys that are no serial,
// values that are no record, and records that the caller does not accept.
// Proves S-36.
func TestJournalSetsDamageAside(t *testing.T) {
	path := fill(t, 3)
	j := mustOpen(t, path)
	require.NoError(t, j.Update(func(tx Tx) error {
		d := tx.bucket(Downloads)
		_, nested := d.CreateBucket([]byte("a bucket"))
		return errors.Join(nested,
			d.Put(serialKey(2), []byte(`{"name":"a","more":1}`)),
			d.Put(serialKey(4000), []byte("\x00garbage")),
			d.Put(serialKey(4001), []byte(`{"name":"a"} {}`)),
			d.Put([]byte("odd"), []byte("x")),
			d.Put(serialKey(0), []byte("x")),
			tx.Put(Removals, 1, record{string(make([]byte, 2<<10))}),
		)
	}))
	require.NoError(t, j.Close())

	var log strings.Builder
	j, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	all, err := load(t, j)
	require.NoError(t, err)
	assert.Len(t, all[Downloads], 2)
	assert.Equal(t, map[uint64]string{99999: "gone"}, all[Removals])
	assert.Equal(t, 7, strings.Count(log.String(), "set aside"), log.String())
	require.NoError(t, j.Update(func(tx Tx) error {
		kept := 0
		require.NoError(t, tx.tx.Bucket(bucketDamaged).ForEach(func(_, v []byte) error {
			kept++
			assert.NotEmpty(t, v)
			return nil
		}))
		assert.Equal(t, 6, kept, "all but the nested bucket are kept in the other bucket")
		assert.Nil(t, tx.bucket(Downloads).Get(serialKey(2)))
		serial, err := tx.NextSerial()
		assert.Greater(t, serial, uint64(99999))
		return err
	}))
	require.NoError(t, j.Close())
}

// Changes that come at the same time share a transaction; one that fails does
// not take the others along.
func TestJournalGroupsChanges(t *testing.T) {
	j := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"))
	commits := func() int64 { s := j.db.Stats().TxStats; return s.GetWrite() }
	before := commits()
	var wg sync.WaitGroup
	bad := errors.New("bad")
	for i := range 500 {
		wg.Go(func() {
			err := j.Update(func(tx Tx) error {
				if err := tx.Put(Downloads, uint64(i+1), record{fmt.Sprint("d", i)}); err != nil {
					return err
				}
				if i%100 == 7 {
					return bad
				}
				return nil
			})
			if i%100 == 7 {
				assert.ErrorIs(t, err, bad)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d page writes for 500 changes", commits()-before)
	all, err := load(t, j)
	require.NoError(t, err)
	assert.Len(t, all[Downloads], 495)
	require.NoError(t, j.Close())
	assert.ErrorIs(t, j.Update(func(Tx) error { return nil }), ErrClosed)
}

// A panic in a transaction breaks the journal, not the process. The journal is not
// written any more, and says so.
func TestJournalContainsPanic(t *testing.T) {
	path := fill(t, 1)
	j := mustOpen(t, path)
	err := j.Update(func(Tx) error { panic("a page is wrong") })
	require.ErrorIs(t, err, ErrDamaged)
	err = j.Update(func(Tx) error { return nil })
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, j.Close())
	j = mustOpen(t, path)
	all, err := load(t, j)
	require.NoError(t, err)
	assert.Len(t, all[Downloads], 1)
	require.NoError(t, j.Close())
}
