package repository

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// sparse makes a file of n zeros.
func sparse(t *testing.T, path string, n int64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(n))
	require.NoError(t, f.Close())
}

// The counters move at the start of every file and then about every 10 MB, and
// count the content of files only. In between they stand still.
func TestCountersMoveEvery10MB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1_000_000}, files{"f/g/": "", "f/z": "end"})
		sparse(t, s.dir+"/f/big", 25_000_000)
		p := s.create(nodeID("f"))
		synctest.Wait()
		progress := progressJSON{p.ID, statusInProgress, 20_480, 25_000_003, 0, 2}
		require.Equal(t, progress, s.get(p.ID))
		time.Sleep(10 * time.Second)
		require.Equal(t, progress, s.get(p.ID), "stands still")
		time.Sleep(500 * time.Millisecond)
		progress.BytesAdded += 500 * copyBuffer
		require.Equal(t, progress, s.get(p.ID))
		time.Sleep(10 * time.Second)
		progress.BytesAdded += 500 * copyBuffer
		require.Equal(t, progress, s.get(p.ID))
		time.Sleep(5 * time.Second)
		require.Equal(t, progressJSON{p.ID, statusDone, 25_000_003, 25_000_003, 2, 2}, s.get(p.ID))
	})
}

// While IN_PROGRESS, bytesAdded can already equal totalBytes.
func TestInProgressWithAllBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1}, files{"a": "12345"})
		p := s.create(nodeID("a"))
		synctest.Wait()
		require.Equal(t, progressJSON{p.ID, statusInProgress, 5, 5, 0, 1}, s.get(p.ID))
	})
}

// The limit is exceeded by more than it, not by as much; the answer has the
// limit in bytesAdded and what was asked for in totalBytes.
func TestMaxContentSize(t *testing.T) {
	s := newDirect(t, Config{MaxContentSize: 10}, files{"f/1": "12345", "f/2": "67890", "f/3": ""})
	require.Equal(t, int64(10), s.await(s.create(nodeID("f")).ID, statusDone).BytesAdded)
	p := s.create(nodeID("f"), nodeID("f/1"))
	require.Equal(t, progressJSON{p.ID, statusTooLarge, 10, 15, 0, 4}, s.await(p.ID, statusTooLarge))
	s.do("GET", "/nodes/"+p.ID+"/content", "").requireError(t, 404)
}

func TestDefaultMaxContentSize(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	sparse(t, s.dir+"/big", 2_152_852_359)
	p := s.create(nodeID("big"))
	require.Equal(t, progressJSON{p.ID, statusTooLarge, 2_152_852_358, 2_152_852_359, 0, 1}, s.await(p.ID, statusTooLarge))
}

func TestNoMaxContentSize(t *testing.T) {
	s := newDirect(t, Config{MaxContentSize: -1, FailZipAfter: 1}, nil)
	sparse(t, s.dir+"/big", 3_000_000_000)
	p := s.create(nodeID("big"))
	s.downloads.close() // ends with the failure
	require.Equal(t, statusPending, s.get(p.ID).Status)
}

// A failure while zipping is not reported: the state stays as it was for ever.
func TestZipFailsSilently(t *testing.T) {
	content := files{"f/1": strings.Repeat("x", 30_000), "f/2": strings.Repeat("y", 30_000)}
	tests := []struct {
		name  string
		after int64
		want  progressJSON
	}{
		{"in the first buffer", 20_479, progressJSON{Status: statusPending}},
		{"in the first file", 29_999, progressJSON{Status: statusInProgress, BytesAdded: 20_480, TotalBytes: 60_000, TotalFiles: 2}},
		{"in the second file", 59_999, progressJSON{Status: statusInProgress, BytesAdded: 50_480, TotalBytes: 60_000, FilesAdded: 1, TotalFiles: 2}},
		{"not at all", 60_000, progressJSON{Status: statusDone, BytesAdded: 60_000, TotalBytes: 60_000, FilesAdded: 2, TotalFiles: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDirect(t, Config{FailZipAfter: tt.after, DownloadMaxAge: 5 * time.Hour}, content)
				p := s.create(nodeID("f"))
				time.Sleep(3 * time.Hour)
				tt.want.ID = p.ID
				require.Equal(t, tt.want, s.get(p.ID))
				if tt.want.Status != statusDone {
					require.Empty(t, dirEntries(t, s.dataDir), "the unfinished zip is removed")
					require.Equal(t, 202, s.do("DELETE", "/downloads/"+p.ID, "").status)
					time.Sleep(time.Hour)
					require.Equal(t, tt.want, s.get(p.ID), "nobody is left to see the cancel")
				}
			})
		})
	}
}

// So it is when there is no room for the zip.
func TestZipFailsSilentlyWithoutDisk(t *testing.T) {
	s := newDirect(t, Config{}, files{"a": "a"})
	require.NoError(t, os.RemoveAll(s.dataDir))
	p := s.create(nodeID("a"))
	s.downloads.close()
	require.Equal(t, statusPending, s.get(p.ID).Status)
}
