package download

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download/journal"
)

const (
	u1 = "11111111-1111-4111-8111-111111111111"
	u2 = "22222222-2222-4222-8222-222222222222"
	u3 = "abcdef01-2345-6789-abcd-EF0123456789"
)

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func mustOpenJournal(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path, testLog(t))
	require.NoError(t, err)
	return j
}

func aRecord(id string) downloadRecord {
	return downloadRecord{V: recordVersion, ID: ID(id), Status: StatusPending, CreatedAt: time.Unix(1e9, 0).UTC(), ChangedAt: time.Unix(1e9, 0).UTC()}
}

func TestRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpenJournal(t, path)
	rec := downloadRecord{
		V: recordVersion, ID: u1, Name: "q3 report", Status: StatusDone, BytesAdded: 1, TotalBytes: 2, FilesAdded: 3, TotalFiles: 4,
		Archive:   &archiveRecord{Name: "a.zip", Size: 5, ModifiedAt: time.Unix(3e8, 0).UTC()},
		CreatedAt: time.Unix(1e9, 5).UTC(), ChangedAt: time.Unix(2e9, 0).UTC(), Settled: true, Dropped: true,
	}
	cancelled := aRecord(u2)
	cancelled.Status, cancelled.Cancelled = StatusCancelled, true
	require.NoError(t, j.Update(func(tx journal.Tx) error {
		return errors.Join(
			tx.Put(journal.Downloads, 7, rec),
			tx.Put(journal.Nodes, 7, nodesRecord{recordVersion, []NodeID{u2, u3 + ";1.0"}}),
			tx.Put(journal.Downloads, 3, cancelled),
			tx.Put(journal.Removals, 5, removalRecord{recordVersion, "x", false, true}))
	}))
	require.NoError(t, j.Close())

	j = mustOpenJournal(t, path)
	defer func() { require.NoError(t, j.Close()) }()
	content, err := restore(j, testLog(t))
	require.NoError(t, err)
	assert.Equal(t, []storedDownload{{3, cancelled, nil, nil}, {7, rec, []NodeID{u2, u3 + ";1.0"}, nil}}, content.downloads)
	assert.Equal(t, []storedRemoval{{5, removalRecord{recordVersion, "x", false, true}}}, content.removals)
}

// A damaged record costs that record, not the others.
// Proves S-36.
func TestRestoreDamagedRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := mustOpenJournal(t, path)
	require.NoError(t, j.Update(func(tx journal.Tx) error {
		for i := range 3 {
			serial := uint64(i + 1)
			if err := errors.Join(tx.Put(journal.Downloads, serial, aRecord(fmt.Sprintf("id-%d", i))),
				tx.Put(journal.Nodes, serial, nodesRecord{recordVersion, []NodeID{u1, u2}})); err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Put(journal.Downloads, 2, json.RawMessage(`{"v":1,"id":"../etc"}`)),
			tx.Put(journal.Downloads, 5000, aRecord("id-0")), // twice
			tx.Put(journal.Nodes, 3, json.RawMessage(`{"v":1,"nodeIds":["a/b"]}`)),
			tx.Put(journal.Removals, 1, json.RawMessage(`{}`)),
			tx.Put(journal.Removals, 6000, removalRecord{recordVersion, "id-2", true, true}), // listed too
			tx.Put(journal.Removals, 99999, removalRecord{recordVersion, "gone", true, true}),
		)
	}))
	require.NoError(t, j.Close())

	var log strings.Builder
	j, err := journal.Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	content, err := restore(j, testLog(t))
	require.NoError(t, err)
	require.Len(t, content.downloads, 2)
	assert.EqualValues(t, "id-0", content.downloads[0].record.ID)
	assert.Equal(t, []NodeID{u1, u2}, content.downloads[0].nodes)
	assert.EqualValues(t, "id-2", content.downloads[1].record.ID)
	assert.Empty(t, content.downloads[1].nodes)
	require.Len(t, content.removals, 1)
	assert.EqualValues(t, "gone", content.removals[0].record.ID)
	assert.Equal(t, 5, strings.Count(log.String(), "set aside"), log.String())
	require.NoError(t, j.Close())
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
			again, err := json.Marshal(rec)
			require.NoError(t, err)
			back, err := decodeDownload(again)
			require.NoError(t, err)
			require.True(t, rec.CreatedAt.Equal(back.CreatedAt))
		}
		if nodes, err := decodeNodes(b); err == nil {
			for _, n := range nodes {
				require.True(t, n.Valid())
			}
		}
		if rec, err := decodeRemoval(b); err == nil {
			_, err := ParseID(string(rec.ID))
			require.NoError(t, err)
			require.True(t, rec.Cancel || rec.Delete)
		}
	})
}
