package download

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

func mustOpenJournal(t *testing.T, path string) *journal {
	t.Helper()
	j, err := openJournal(path, testLog(t))
	require.NoError(t, err)
	return j
}

func aRecord(id string) downloadRecord {
	return downloadRecord{V: recordVersion, ID: ID(id), Status: StatusPending, CreatedAt: time.Unix(1e9, 0).UTC(), ChangedAt: time.Unix(1e9, 0).UTC()}
}

// fill makes a journal with n downloads and returns its path.
func fill(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpenJournal(t, path)
	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		for i := range n {
			serial, err := nextSerial(tx)
			if err != nil {
				return err
			}
			if err := put(tx, bucketDownloads, serial, aRecord(fmt.Sprintf("id-%d", i))); err != nil {
				return err
			}
			if err := put(tx, bucketNodes, serial, nodesRecord{recordVersion, []NodeID{u1, u2}}); err != nil {
				return err
			}
		}
		return put(tx, bucketRemovals, 99999, removalRecord{recordVersion, "gone", true, true})
	}))
	require.NoError(t, j.close())
	return path
}

func TestJournalKeepsRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpenJournal(t, path)
	rec := downloadRecord{
		V: recordVersion, ID: u1, Name: "q3 report", Status: StatusDone, BytesAdded: 1, TotalBytes: 2, FilesAdded: 3, TotalFiles: 4,
		Archive:   &archiveRecord{Name: "a.zip", Size: 5, ModifiedAt: time.Unix(3e8, 0).UTC()},
		CreatedAt: time.Unix(1e9, 5).UTC(), ChangedAt: time.Unix(2e9, 0).UTC(), Settled: true, Dropped: true,
	}
	cancelled := aRecord(u2)
	cancelled.Status, cancelled.Cancelled = StatusCancelled, true
	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		return errors.Join(
			put(tx, bucketDownloads, 7, rec),
			put(tx, bucketNodes, 7, nodesRecord{recordVersion, []NodeID{u2, u3 + ";1.0"}}),
			put(tx, bucketDownloads, 3, cancelled),
			put(tx, bucketRemovals, 5, removalRecord{recordVersion, "x", false, true}))
	}))
	require.NoError(t, j.close())

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary files")

	j = mustOpenJournal(t, path)
	defer func() { require.NoError(t, j.close()) }()
	content, err := j.load()
	require.NoError(t, err)
	assert.Equal(t, []storedDownload{{3, cancelled, nil}, {7, rec, []NodeID{u2, u3 + ";1.0"}}}, content.downloads)
	assert.Equal(t, []storedRemoval{{5, removalRecord{recordVersion, "x", false, true}}}, content.removals)
	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		serial, err := nextSerial(tx)
		assert.EqualValues(t, 8, serial, "a serial in use is not given out, whatever the sequence says")
		return err
	}))
}

func TestJournalMendsTheMode(t *testing.T) {
	path := fill(t, 1)
	require.NoError(t, os.Chmod(path, 0o644))
	j := mustOpenJournal(t, path)
	require.NoError(t, j.close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestJournalSerialsAreNeverReused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	seen := make(map[uint64]bool)
	for range 3 {
		j := mustOpenJournal(t, path)
		for range 3 {
			require.NoError(t, j.update(func(tx *bolt.Tx) error {
				serial, err := nextSerial(tx)
				require.NoError(t, err)
				assert.NotZero(t, serial)
				assert.False(t, seen[serial], serial)
				seen[serial] = true
				require.NoError(t, put(tx, bucketDownloads, serial, aRecord("x")))
				return tx.Bucket(bucketDownloads).Delete(serialKey(serial))
			}))
		}
		require.NoError(t, j.close())
	}
}

func TestJournalIsLocked(t *testing.T) {
	path := fill(t, 1)
	j := mustOpenJournal(t, path)
	began := time.Now()
	_, err := openJournal(path, testLog(t))
	require.ErrorIs(t, err, ErrLocked)
	assert.Contains(t, err.Error(), path)
	assert.Less(t, time.Since(began), 5*time.Second)
	require.NoError(t, j.close())
	j = mustOpenJournal(t, path)
	require.NoError(t, j.close())
}

// Two that start at the same moment: one of them gets the new journal.
func TestJournalIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var opened []*journal
	for range 8 {
		wg.Go(func() {
			j, err := openJournal(path, testLog(t))
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
	require.NoError(t, opened[0].close())
}

func TestJournalNeedsItsDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "journal.db")
	_, err := openJournal(path, testLog(t))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, err.Error(), path)
}

// A journal that cannot be read is neither replaced nor a crash.
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
			_, err := Open(Config{JournalPath: path, Logger: testLog(t)})
			require.ErrorIs(t, err, ErrDamaged)
			assert.NotContains(t, err.Error(), "\n", "one message")
			assert.Contains(t, err.Error(), path)
			assert.Contains(t, err.Error(), "move it away")
			after, rerr := os.ReadFile(path)
			require.NoError(t, rerr)
			assert.True(t, bytes.Equal(data, after), "the file is untouched")

			// Nothing holds on to it: moved away, one can start afresh.
			require.NoError(t, os.Rename(path, path+".old"))
			j := mustOpenJournal(t, path)
			require.NoError(t, j.close())
		})
	}
}

// usedBytes returns up to where a journal's pages go in its file.
func usedBytes(t *testing.T, data []byte) (used int64) {
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	j := mustOpenJournal(t, path)
	require.NoError(t, j.db.View(func(tx *bolt.Tx) error {
		used = tx.Size()
		return nil
	}))
	require.NoError(t, j.close())
	return used
}

// Any page of the file may be garbage: an error or what is left, never a crash.
func TestJournalGarbagePages(t *testing.T) {
	whole, err := os.ReadFile(fill(t, 300))
	require.NoError(t, err)
	for page := range len(whole) / 4096 {
		path := filepath.Join(t.TempDir(), "journal.db")
		data := bytes.Clone(whole)
		copy(data[page*4096+16:], bytes.Repeat([]byte{0x5A}, 200))
		require.NoError(t, os.WriteFile(path, data, 0o600))
		j, err := openJournal(path, slog.New(slog.DiscardHandler))
		if err != nil {
			assert.ErrorIs(t, err, ErrDamaged, "page %d", page)
			continue
		}
		if _, err = j.load(); err != nil {
			assert.ErrorIs(t, err, ErrDamaged, "page %d", page)
			_, err = Open(Config{JournalPath: path})
			assert.ErrorIs(t, err, ErrDamaged, "page %d", page)
			assert.NotContains(t, err.Error(), "\n", "one message")
			continue
		}
		_ = j.close()
	}
}

func TestJournalOfAnotherVersion(t *testing.T) {
	path := fill(t, 1)
	j := mustOpenJournal(t, path)
	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyVersion, []byte{0, 0, 0, 0, 0, 0, 0, 2})
	}))
	require.NoError(t, j.close())
	_, err := openJournal(path, testLog(t))
	require.ErrorIs(t, err, ErrDamaged)
	assert.Contains(t, err.Error(), "another version")
}

// A damaged record is set aside; the others are there.
func TestJournalDamagedRecords(t *testing.T) {
	path := fill(t, 3)
	j := mustOpenJournal(t, path)
	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		d := tx.Bucket(bucketDownloads)
		_, nested := d.CreateBucket([]byte("a bucket"))
		return errors.Join(nested,
			d.Put(serialKey(2), []byte(`{"v":1,"id":"../etc"}`)),
			d.Put(serialKey(4000), []byte("\x00garbage")),
			put(tx, bucketDownloads, 5000, aRecord("id-0")), // twice
			d.Put([]byte("odd"), []byte("x")),
			d.Put(serialKey(0), []byte("x")),
			tx.Bucket(bucketNodes).Put(serialKey(3), []byte(`{"v":1,"nodeIds":["a/b"]}`)),
			tx.Bucket(bucketRemovals).Put(serialKey(1), []byte("{}")),
			put(tx, bucketRemovals, 6000, removalRecord{recordVersion, "id-2", true, true}), // listed too
		)
	}))
	require.NoError(t, j.close())

	var log strings.Builder
	j, err := openJournal(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	content, err := j.load()
	require.NoError(t, err)
	require.Len(t, content.downloads, 2)
	assert.EqualValues(t, "id-0", content.downloads[0].record.ID)
	assert.Equal(t, []NodeID{u1, u2}, content.downloads[0].nodes)
	assert.EqualValues(t, "id-2", content.downloads[1].record.ID)
	assert.Empty(t, content.downloads[1].nodes)
	require.Len(t, content.removals, 1)
	assert.EqualValues(t, "gone", content.removals[0].record.ID)
	assert.Equal(t, 9, strings.Count(log.String(), "set aside"), log.String())

	require.NoError(t, j.update(func(tx *bolt.Tx) error {
		kept := 0
		require.NoError(t, tx.Bucket(bucketDamaged).ForEach(func(_, v []byte) error {
			kept++
			assert.NotEmpty(t, v)
			return nil
		}))
		assert.Equal(t, 8, kept, "all but the nested bucket are kept in the other bucket")
		assert.Nil(t, tx.Bucket(bucketDownloads).Get(serialKey(2)))
		serial, err := nextSerial(tx)
		assert.Greater(t, serial, uint64(99999))
		return err
	}))
	require.NoError(t, j.close())
}

// Changes that come at the same time share a transaction; one that fails does
// not take the others along.
func TestJournalGroupsChanges(t *testing.T) {
	j := mustOpenJournal(t, filepath.Join(t.TempDir(), "journal.db"))
	commits := func() int64 { s := j.db.Stats().TxStats; return s.GetWrite() }
	before := commits()
	var wg sync.WaitGroup
	bad := errors.New("bad")
	for i := range 500 {
		wg.Go(func() {
			err := j.update(func(tx *bolt.Tx) error {
				if err := put(tx, bucketDownloads, uint64(i+1), aRecord(fmt.Sprint("d", i))); err != nil {
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
	content, err := j.load()
	require.NoError(t, err)
	assert.Len(t, content.downloads, 495)
	require.NoError(t, j.close())
	assert.ErrorIs(t, j.update(func(*bolt.Tx) error { return nil }), ErrClosed)
}

// A panic in a transaction breaks the journal, not the process: it is not
// written any more, and says so.
func TestJournalContainsPanic(t *testing.T) {
	path := fill(t, 1)
	j := mustOpenJournal(t, path)
	err := j.update(func(*bolt.Tx) error { panic("a page is wrong") })
	require.ErrorIs(t, err, ErrDamaged)
	err = j.update(func(*bolt.Tx) error { return nil })
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, j.close())
	j = mustOpenJournal(t, path)
	content, err := j.load()
	require.NoError(t, err)
	assert.Len(t, content.downloads, 1)
	require.NoError(t, j.close())
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"id":"` + u1 + `","status":"PENDING","bytesAdded":0,"totalBytes":0,"filesAdded":0,"totalFiles":0,"createdAt":"2026-01-02T03:04:05Z","changedAt":"2026-01-02T03:04:05Z"}`,
		`{"v":1,"id":"x","name":"n","status":"DONE","archive":{"name":"a.zip","size":5},"createdAt":"2026-01-02T03:04:05Z","changedAt":"2026-01-02T03:04:05Z","dropped":true}`,
		`{"v":1,"id":"x","cancel":true}`, `{"v":1,"nodeIds":["` + u1 + `;1.0"]}`, `{"v":2}`, "", "null", "[", `{"v":1} {}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := decodeDownload(b); err == nil {
			require.LessOrEqual(t, len(b), maxRecordBytes)
			_, err := ParseID(string(rec.ID))
			require.NoError(t, err)
			require.False(t, strings.ContainsAny(rec.Name, "/\x00\n"))
			require.NotEqual(t, ControlFile, rec.Name)
			require.Equal(t, rec.Status == StatusDone, rec.Status == StatusDone && rec.Archive != nil)
			again, err := encodeRecord(rec)
			require.NoError(t, err)
			back, err := decodeDownload(again)
			require.NoError(t, err)
			require.True(t, rec.CreatedAt.Equal(back.CreatedAt))
		}
		if nodes, err := decodeNodes(b); err == nil {
			for _, n := range nodes {
				require.True(t, validNodeID(n))
			}
		}
		if rec, err := decodeRemoval(b); err == nil {
			_, err := ParseID(string(rec.ID))
			require.NoError(t, err)
			require.True(t, rec.Cancel || rec.Delete)
		}
	})
}
