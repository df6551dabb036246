package repository

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// restart opens another Repository on the same folder and data.
func (s *server) restart(cfg Config) *server {
	s.t.Helper()
	require.NoError(s.t, s.Close())
	cfg.Dir, cfg.DataDir = s.dir, s.dataDir
	return newDirect(s.t, cfg, nil)
}

// After a restart DONE downloads can be read and the others stay in their state
// for ever.
// Proves S-93.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "a", "b")
		s := newDirect(t, Config{DataDir: data, ArchiveRate: 1000, ZipThreads: 1},
			files{"a": "aaa", "slow": strings.Repeat("x", 1000), "f/1": strings.Repeat("y", 500), "f/2": "2", "g/x": ""})
		done := s.await(s.as("bob").create(nodeID("a")).ID, statusDone)
		zip := s.do("GET", "/nodes/"+done.ID+"/content", "")
		cancelled := s.create(nodeID("f"))
		synctest.Wait()
		s.cancel(cancelled.ID)
		cancelled = s.await(cancelled.ID, statusCancelled)
		deleted := s.await(s.create(nodeID("a")).ID, statusDone)
		require.Equal(t, 204, s.do("DELETE", "/nodes/"+deleted.ID, "").status)
		require.Equal(t, 204, s.do("DELETE", "/nodes/"+nodeID("g"), "").status)
		running, pending := s.create(nodeID("slow")), s.create(nodeID("a"))
		synctest.Wait()
		running = s.get(running.ID)
		require.Equal(t, statusInProgress, running.Status)
		node := s.node("/nodes/" + done.ID)

		s = s.restart(Config{DownloadMaxAge: 5 * time.Hour})
		time.Sleep(3 * time.Hour)
		for _, p := range []progressJSON{done, cancelled, running, pending} {
			require.Equal(t, p, s.get(p.ID))
		}
		require.Equal(t, node, s.node("/nodes/"+done.ID))
		again := s.do("GET", "/nodes/"+done.ID+"/content", "")
		require.Equal(t, zip.body, again.body)
		require.Equal(t, zip.header.Get("ETag"), again.header.Get("ETag"))
		s.as("alice").do("GET", "/downloads/"+done.ID, "").requireError(t, 403)
		require.Equal(t, done, s.as("bob").get(done.ID), "still its owner's")
		s.do("GET", "/downloads/"+deleted.ID, "").requireError(t, 404)
		s.do("GET", "/nodes/"+nodeID("g"), "").requireError(t, 404)
		s.cancel(running.ID)
		time.Sleep(time.Hour)
		require.Equal(t, running, s.get(running.ID), "nobody is left to see the cancel")
		for _, name := range dirEntries(t, data) {
			require.NotContains(t, name, partSuffix)
			fi, err := os.Stat(filepath.Join(data, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), fi.Mode(), name)
		}
		fi, err := os.Stat(data)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), fi.Mode().Perm())

		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s.do("GET", "/downloads/"+done.ID, "").requireError(t, 404)
		require.Equal(t, []string{deletedFile}, dirEntries(t, data), "the cleaner knows old downloads too")
	})
}

// Tickets do not outlive the server.
func TestTicketsEndWithTheServer(t *testing.T) {
	s := newDirect(t, Config{DataDir: t.TempDir()}, nil)
	ticket := s.login("alice", "secret-a")
	s = s.restart(Config{})
	s.do("GET", "/nodes/-root-", "", "Authorization", basic(ticket)).requireError(t, 401)
}

func TestDamagedRecordIsReported(t *testing.T) {
	s := newDirect(t, Config{DataDir: t.TempDir()}, files{"a": ""})
	p := s.create(nodeID("a"))
	s.await(p.ID, statusDone)
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(filepath.Join(s.dataDir, p.ID+recordSuffix), []byte("{"), 0o600))
	_, err := New(Config{Dir: s.dir, DataDir: s.dataDir})
	require.ErrorContains(t, err, p.ID)
}

// A kill leaves what it interrupted: files without their last name, and zips
// whose download was deleted. They go. Files that are not the server's stay.
// Proves S-93.
func TestLoadRemovesWhatAKillLeft(t *testing.T) {
	s := newDirect(t, Config{DataDir: t.TempDir()}, files{"a": "aaa"})
	p := s.await(s.create(nodeID("a")).ID, statusDone)
	gone, other := uuid.NewString(), strings.ReplaceAll(uuid.NewString(), "-", "")
	foreign := files{"film.mkv.part": "", "photos.zip": "", other + ".zip": "", gone + ".txt": "", "notes.json": "{"}
	writeFiles(t, s.dataDir, foreign)
	writeFiles(t, s.dataDir, files{gone + zipSuffix: "PK", gone + zipSuffix + partSuffix: "P",
		gone + recordSuffix + partSuffix: "", deletedFile + partSuffix: ""})
	s = s.restart(Config{})
	want := append(slices.Collect(maps.Keys(foreign)), p.ID+recordSuffix, p.ID+zipSuffix)
	require.ElementsMatch(t, want, dirEntries(t, s.dataDir))
	require.Equal(t, p, s.get(p.ID))
}

// A record is written when the state changes and when the zip ends; steps in
// between are not worth a write.
// Proves S-93.
func TestRecordsAreWrittenForStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{DataDir: t.TempDir(), ArchiveRate: 1}, files{"f/1": "1", "f/2": "2", "f/3": "3", "f/4": "4"})
		id := s.create(nodeID("f")).ID
		record := func() (r record) {
			require.NoError(t, readFileJSON(filepath.Join(s.dataDir, id+recordSuffix), &r))
			return r
		}
		require.Equal(t, statusPending, record().Status)
		synctest.Wait() // it is in the first file
		require.Equal(t, statusInProgress, record().Status)
		time.Sleep(2500 * time.Millisecond)
		require.EqualValues(t, 3, s.get(id).BytesAdded)
		require.EqualValues(t, 1, record().BytesAdded)
		require.NoError(t, s.Close())
		require.EqualValues(t, 3, record().BytesAdded)
	})
}
