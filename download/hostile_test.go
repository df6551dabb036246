package download_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// lying is a Service whose answers a test may replace.
type lying struct {
	*downloadtest.Service
	get     func(download.Progress) download.Progress
	archive func(download.ArchiveInfo) download.ArchiveInfo
	resolve func() download.NodeID
}

func (l *lying) Get(ctx context.Context, id download.ID) (download.Progress, error) {
	p, err := l.Service.Get(ctx, id)
	if err == nil && l.get != nil {
		p = l.get(p)
	}
	return p, err
}

func (l *lying) Archive(ctx context.Context, id download.ID) (download.ArchiveInfo, error) {
	a, err := l.Service.Archive(ctx, id)
	if err == nil && l.archive != nil {
		a = l.archive(a)
	}
	return a, err
}

func (l *lying) Resolve(ctx context.Context, path string) (download.NodeID, error) {
	if l.resolve != nil {
		return l.resolve(), nil
	}
	return l.Service.Resolve(ctx, path)
}

// inLyingWorld is inWorld with answers replaced.
func inLyingWorld(t *testing.T, l lying, test func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		l.Service = w.service
		w.config.Service = &l
		w.reopen()
		test(t, w)
	})
}

func TestImpossibleProgress(t *testing.T) {
	for name, lie := range map[string]func(p download.Progress) download.Progress{
		"another id":     func(p download.Progress) download.Progress { p.ID = "other"; return p },
		"unsafe id":      func(p download.Progress) download.Progress { p.ID = "../../etc"; return p },
		"no status":      func(p download.Progress) download.Progress { p.Status = ""; return p },
		"unknown status": func(p download.Progress) download.Progress { p.Status = "EXPLODED"; return p },
		"long status": func(p download.Progress) download.Progress {
			p.Status = download.Status(strings.Repeat("x\n", 1<<20))
			return p
		},
		"our own status": func(p download.Progress) download.Progress { p.Status = download.StatusExpired; return p },
		"negative bytes": func(p download.Progress) download.Progress { p.BytesAdded = -1; return p },
		"negative total": func(p download.Progress) download.Progress { p.TotalBytes = -1 << 62; return p },
		"negative files": func(p download.Progress) download.Progress { p.FilesAdded = -1; return p },
	} {
		t.Run(name, func(t *testing.T) {
			inLyingWorld(t, lying{get: lie}, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{Zipping: time.Minute})
				began := time.Now()
				err := d.Wait(t.Context())
				require.ErrorIs(t, err, download.ErrProtocol)
				assert.InDelta(t, 120, time.Since(began).Seconds(), 15, "it may be a proxy's fault and pass")
				assert.Less(t, len(err.Error()), 500)
				s := d.Snapshot()
				assert.Equal(t, d.ID(), s.Progress.ID)
				assert.Equal(t, download.StatusPending, s.Status)
				_, err = w.Adopt(t.Context(), w.service.AddDownload(downloadtest.Plan{}))
				require.ErrorIs(t, err, download.ErrProtocol)
			})
		})
	}
}

func TestImpossibleArchive(t *testing.T) {
	for name, lie := range map[string]func(a download.ArchiveInfo) download.ArchiveInfo{
		"another id":    func(a download.ArchiveInfo) download.ArchiveInfo { a.ID = "other"; return a },
		"negative size": func(a download.ArchiveInfo) download.ArchiveInfo { a.Size = -1; return a },
	} {
		t.Run(name, func(t *testing.T) {
			inLyingWorld(t, lying{archive: lie}, func(t *testing.T, w *world) {
				d := w.create(downloadtest.Plan{})
				require.ErrorIs(t, d.Wait(t.Context()), download.ErrProtocol)
				assert.False(t, d.Snapshot().Ready)
			})
		})
	}
}

func TestUnsafeArchiveName(t *testing.T) {
	for _, name := range []string{"../../.bashrc", "a/b", "a\nb", "\xff", strings.Repeat("x", 1<<20), "", ".."} {
		inLyingWorld(t, lying{archive: func(a download.ArchiveInfo) download.ArchiveInfo {
			a.Name = name
			return a
		}}, func(t *testing.T, w *world) {
			d := w.create(downloadtest.Plan{})
			require.NoError(t, d.Wait(t.Context()))
			assert.Equal(t, "archive.zip", d.Snapshot().Archive.Name)
			w.reopen()
			assert.Equal(t, "archive.zip", w.find(d.ID()).Snapshot().Archive.Name)
		})
	}
}

func TestUnsafeResolvedNode(t *testing.T) {
	for _, id := range []download.NodeID{"", "../x", "a/b", "a\x00", download.NodeID(strings.Repeat("a", 1<<20))} {
		inLyingWorld(t, lying{resolve: func() download.NodeID { return id }}, func(t *testing.T, w *world) {
			_, err := w.Create(t.Context(), download.List{Entries: []download.Entry{{Path: "/x"}}})
			require.ErrorIs(t, err, download.ErrProtocol)
			assert.Zero(t, w.service.Count("Create"))
		})
	}
}

// A server that takes DONE back is not believed: the archive is immutable.
func TestDoneIsFinal(t *testing.T) {
	var back atomic.Bool
	inLyingWorld(t, lying{get: func(p download.Progress) download.Progress {
		if back.Load() {
			p.Status, p.BytesAdded = download.StatusPending, 0
		}
		return p
	}}, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{})
		require.NoError(t, d.Wait(t.Context()))
		before := d.Snapshot()
		back.Store(true)
		later(time.Hour)
		assert.Equal(t, before, d.Snapshot())
	})
}

// A panic in a Service or Archives is one download's trouble, not the mount's.
func TestPanicIsContained(t *testing.T) {
	for _, op := range []string{"Get", "Archive", "Create", "Resolve", "Cancel", "Delete"} {
		t.Run(op, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.service.AddFile("/x", nil)
				list := download.List{Entries: []download.Entry{{Path: "/x"}}}
				var panics atomic.Bool
				panics.Store(true)
				w.service.Intercept(func(_ context.Context, got string, _ download.ID) error {
					if got == op && panics.Load() {
						panic("a bug")
					}
					return nil
				})
				w.service.SetPlan(downloadtest.Plan{Zipping: time.Second})
				d, err := w.Create(t.Context(), list)
				switch op {
				case "Create", "Resolve":
					require.Error(t, err)
					assert.Contains(t, err.Error(), "a bug")
				case "Get", "Archive":
					require.NoError(t, err)
					err = d.Wait(t.Context())
					require.Error(t, err)
					assert.Contains(t, err.Error(), "a bug")
				default:
					require.NoError(t, err)
					require.NoError(t, w.Remove(d))
					later(time.Minute)
				}
				later(time.Minute)
				panics.Store(false)
				later(2 * time.Minute)
				if d != nil && (op == "Get" || op == "Archive") {
					require.NoError(t, d.Wait(t.Context()), "it recovers")
				}
				if op == "Cancel" || op == "Delete" {
					later(10 * time.Minute)
					assert.Empty(t, w.service.DownloadIDs(), "it is tried again")
				}
			})
		})
	}
}

// A server that never answers delays only those who wait for it.
func TestServerThatHangs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.create(downloadtest.Plan{Zipping: time.Hour})
		w.service.Intercept(func(ctx context.Context, _ string, _ download.ID) error {
			<-ctx.Done()
			return ctx.Err()
		})
		done := wait(d)
		later(time.Minute)
		began := time.Now()
		d.Snapshot()
		w.Downloads()
		require.NoError(t, w.Rename(d, "x"))
		require.NoError(t, w.Discard(d))
		require.ErrorIs(t, <-done, download.ErrCancelled)
		require.NoError(t, w.Remove(d))
		assert.Zero(t, time.Since(began))
	})
}

// A log that blocks delays only the records to be logged.
func TestBlockedLog(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := &blocking{free: make(chan struct{})}
		w.config.Logger = slog.New(h)
		w.reopen()
		d := w.create(downloadtest.Plan{Zipping: time.Second})
		h.blocked.Store(true)
		done := wait(d)
		later(2 * time.Second)
		assert.Len(t, w.Downloads(), 1)
		assert.Equal(t, download.StatusInProgress, d.Snapshot().Status)
		assert.True(t, waiting(done))
		h.blocked.Store(false)
		close(h.free)
		require.NoError(t, <-done)
	})
}

// blocking is a log whose pipe is full.
type blocking struct {
	blocked atomic.Bool
	free    chan struct{}
}

func (b *blocking) Enabled(context.Context, slog.Level) bool { return true }
func (b *blocking) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *blocking) WithGroup(string) slog.Handler            { return b }
func (b *blocking) Handle(context.Context, slog.Record) error {
	if b.blocked.Load() {
		<-b.free
	}
	return nil
}
