package repository

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The cleaner runs every hour and deletes what is older than 60 minutes, DONE or
// not: after that every call on the id is a 404.
func TestCleaner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1}, files{"a": "", "b": strings.Repeat("x", 7000)})
		time.Sleep(time.Minute)
		done := s.await(s.create(nodeID("a")).ID, statusDone)
		running := s.create(nodeID("b"))
		time.Sleep(time.Hour)
		require.Equal(t, statusDone, s.get(done.ID).Status, "59 minutes at the first run")
		require.Equal(t, statusInProgress, s.get(running.ID).Status)
		time.Sleep(time.Hour)
		synctest.Wait() // the cleaner is done
		for _, id := range []string{done.ID, running.ID} {
			for _, call := range []string{"GET /downloads/", "DELETE /downloads/", "GET /nodes/", "DELETE /nodes/"} {
				method, path, _ := strings.Cut(call, " ")
				s.do(method, path+id, "").requireError(t, 404)
			}
			s.do("GET", "/nodes/"+id+"/content", "").requireError(t, 404)
		}
		require.Empty(t, s.downloads.byID)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, dirEntries(t, s.dataDir), "zips, half and whole")
	})
}

// A short maximum age is noticed soon after.
func TestCleanerInterval(t *testing.T) {
	for age, interval := range map[time.Duration]time.Duration{
		0: time.Hour, 2 * time.Hour: time.Hour, 20 * time.Minute: 5 * time.Minute, time.Millisecond: minCleanerPause,
	} {
		c := Config{DownloadMaxAge: age}
		c.setDefaults()
		require.Equal(t, interval, c.CleanerInterval, age)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{DownloadMaxAge: 4 * time.Second}, files{"a": ""})
		p := s.await(s.create(nodeID("a")).ID, statusDone)
		time.Sleep(5100 * time.Millisecond)
		s.do("GET", "/downloads/"+p.ID, "").requireError(t, 404)
		s.do("GET", "/downloads/"+uuid.NewString(), "").requireError(t, 404)
	})
}
