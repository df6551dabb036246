package repository

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func (s *server) cancel(id string) {
	s.t.Helper()
	a := s.do("DELETE", "/downloads/"+id, "")
	require.Equal(s.t, http.StatusAccepted, a.status)
	require.Equal(s.t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
	require.Empty(s.t, a.body)
}

// Cancelling is noticed in the first buffer of the next file; the counters
// reached stay, and so does the node.
func TestCancelIsNoticedAtTheNextFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 10_000}, files{"f/1": strings.Repeat("x", 40_000), "f/2": strings.Repeat("y", 40_000)})
		p := s.create(nodeID("f"))
		synctest.Wait()
		s.cancel(p.ID)
		require.Equal(t, statusInProgress, s.get(p.ID).Status, "not yet")
		time.Sleep(3 * time.Second)
		require.Equal(t, statusInProgress, s.get(p.ID).Status, "in the same file nobody looks")
		time.Sleep(2 * time.Second)
		want := progressJSON{p.ID, statusCancelled, 60_480, 80_000, 1, 2}
		require.Equal(t, want, s.get(p.ID))
		require.Empty(t, dirEntries(t, s.dataDir))
		s.do("GET", "/nodes/"+p.ID+"/content", "").requireError(t, 404)
		time.Sleep(30 * time.Minute)
		require.Equal(t, want, s.get(p.ID), "a cancelled node is not deleted")
	})
}

// Within a large file it is noticed about every 10 MB.
func TestCancelIsNoticedEvery10MB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1_000_000}, nil)
		sparse(t, s.dir+"/big", 15_000_000)
		p := s.create(nodeID("big"))
		synctest.Wait()
		s.cancel(p.ID)
		time.Sleep(10 * time.Second)
		require.Equal(t, statusInProgress, s.get(p.ID).Status)
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, progressJSON{p.ID, statusCancelled, 501 * copyBuffer, 15_000_000, 0, 1}, s.get(p.ID))
	})
}

// A cancel that comes after the last look ends DONE.
func TestCancelTooLateEndsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1000}, files{"a": strings.Repeat("x", 1000)})
		p := s.create(nodeID("a"))
		synctest.Wait()
		s.cancel(p.ID)
		require.Equal(t, progressJSON{p.ID, statusDone, 1000, 1000, 1, 1}, s.await(p.ID, statusDone))
	})
}

// A download that waits for a thread is cancelled when it gets one; one of empty
// files and folders only is never IN_PROGRESS and cannot be cancelled.
func TestCancelWhilePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1000, ZipThreads: 1},
			files{"slow": strings.Repeat("x", 1000), "b": strings.Repeat("y", 30_000), "e/1": "", "e/2": "", "e/d/": ""})
		first, pending, empty := s.create(nodeID("slow")), s.create(nodeID("b")), s.create(nodeID("e"))
		synctest.Wait()
		s.cancel(pending.ID)
		s.cancel(empty.ID)
		require.Equal(t, progressJSON{ID: pending.ID, Status: statusPending}, s.get(pending.ID))
		s.await(first.ID, statusDone)
		synctest.Wait()
		require.Equal(t, progressJSON{pending.ID, statusCancelled, 20_480, 30_000, 0, 1}, s.get(pending.ID))
		require.Equal(t, progressJSON{empty.ID, statusDone, 0, 0, 2, 2}, s.get(empty.ID))
	})
}

// On a DONE download it is accepted and has no effect on the state or the
// content. The node is modified by it all the same, and with it the ETag.
func TestCancelDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{}, files{"a": "aaa"})
		p := s.await(s.create(nodeID("a")).ID, statusDone)
		before := s.do("GET", "/nodes/"+p.ID+"/content", "")
		time.Sleep(time.Minute)
		s.cancel(p.ID)
		s.cancel(p.ID)
		require.Equal(t, p, s.get(p.ID))
		after := s.do("GET", "/nodes/"+p.ID+"/content", "")
		require.Equal(t, before.body, after.body)
		require.NotEqual(t, before.header.Get("ETag"), after.header.Get("ETag"))
	})
}

// Deleting the node of a running download ends its thread at the next look.
func TestDeleteWhileZipping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1000, ZipThreads: 1}, files{"f/1": strings.Repeat("x", 1000), "f/2": "y"})
		p, next := s.create(nodeID("f")), s.create(nodeID("f/2"))
		synctest.Wait()
		require.Equal(t, http.StatusNoContent, s.do("DELETE", "/nodes/"+p.ID+"?permanent=true", "").status)
		s.do("GET", "/downloads/"+p.ID, "").requireError(t, 404)
		require.Equal(t, statusPending, s.get(next.ID).Status)
		s.await(next.ID, statusDone)
		require.Equal(t, []string{next.ID + ".zip"}, dirEntries(t, s.dataDir))
	})
}
