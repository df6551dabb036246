package downloadtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// The fake passes the suite that the client passes against a real server. Each
// part of the suite needs a bubble of its own, so it runs in real time here, on
// plans that take none.
func TestService(t *testing.T) {
	downloadtest.RunServiceSuite(t, func(*testing.T) downloadtest.Fixture {
		s := downloadtest.NewService()
		f := downloadtest.Fixture{Service: s, Source: s, Path: "/docs/a.txt", Files: map[string]download.NodeID{
			"a.txt": s.AddFile("/docs/a.txt", []byte("one")),
			"b.txt": s.AddFile("/docs/b.txt", make([]byte, 100_000)),
		}}
		f.Forbidden = s.AddFile("/secret", nil)
		s.Forbid(f.Forbidden)
		f.Slow = s.AddFile("/slow", nil)
		s.SetPlanOf(f.Slow, downloadtest.Plan{Zipping: time.Minute, CancelAfter: 50 * time.Millisecond})
		return f
	})
}

func TestPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := downloadtest.NewService()
		id := s.AddDownload(downloadtest.Plan{Pending: 2 * time.Second, Zipping: 10 * time.Second, Tail: time.Second, Bytes: 100, Step: 30})
		for _, want := range []struct {
			after time.Duration
			download.Progress
		}{
			{0, download.Progress{Status: download.StatusPending}},
			{2 * time.Second, download.Progress{Status: download.StatusInProgress, TotalBytes: 100, TotalFiles: 1}},
			{5 * time.Second, download.Progress{Status: download.StatusInProgress, BytesAdded: 30, TotalBytes: 100, TotalFiles: 1}},
			{5 * time.Second, download.Progress{Status: download.StatusInProgress, BytesAdded: 100, TotalBytes: 100, FilesAdded: 1, TotalFiles: 1}},
			{time.Second, download.Progress{Status: download.StatusDone, BytesAdded: 100, TotalBytes: 100, FilesAdded: 1, TotalFiles: 1}},
		} {
			time.Sleep(want.after)
			want.ID = id
			if got, err := s.Get(t.Context(), id); err != nil || got != want.Progress {
				t.Errorf("got %+v, %v, want %+v", got, err, want.Progress)
			}
		}
	})
}
