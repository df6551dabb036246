package download_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// aForest has files of 300 bytes each in three folders, none of which fits into a zip
// of 1000 bytes of content, and a file of 2500.
func aForest() *forest {
	content := map[string]string{"site/empty/": "", "site/note.txt": "a note", "site/film.mkv": strings.Repeat("film!", 500)}
	for _, folder := range []string{"a", "b", "b/deep"} {
		for i := range 6 {
			content[fmt.Sprintf("site/%s/paper %d.txt", folder, i)] = strings.Repeat(fmt.Sprint(folder, i, "\n"), 300)[:300]
		}
	}
	return newForest(1000, content)
}

// inForest runs test with a manager whose server is f.
func inForest(t *testing.T, f *forest, test func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		require.NoError(t, w.Close())
		w.archives = downloadtest.NewArchives(f)
		w.config.Service, w.config.Nodes, w.config.Archives = f, f, w.archives
		w.config.StallTimeout = time.Minute
		w.open()
		test(t, w)
	})
}

type zipped struct{ name, content string }

func entries(t *testing.T, b []byte) (all []zipped) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	for _, f := range z.File {
		c, err := f.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(c)
		require.NoError(t, err, f.Name)
		all = append(all, zipped{f.Name, string(text)})
	}
	return all
}

// get waits for a download and reads its archive.
func (w *world) get(d *download.Download) []byte {
	w.t.Helper()
	require.NoError(w.t, d.Wait(w.t.Context()))
	return w.read(d)
}

func (w *world) read(d *download.Download) []byte {
	w.t.Helper()
	a, err := w.OpenArchive(d)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, a.Close()) }()
	b := make([]byte, d.Snapshot().Archive.Size)
	n, err := a.ReadAt(w.t.Context(), b, 0)
	require.NoError(w.t, err)
	return b[:n]
}

func (w *world) ask(paths ...string) *download.Download {
	w.t.Helper()
	d, err := w.Create(w.t.Context(), forestList(paths...))
	require.NoError(w.t, err)
	return d
}

// refused returns once the server has refused the whole and parts are requested.
func (w *world) refused(d *download.Download) {
	w.t.Helper()
	for range 1000 {
		if d.Snapshot().Status == download.StatusInProgress {
			return
		}
		later(time.Millisecond)
	}
	w.t.Fatal("it is not got in parts")
}

// requireWhole requires that b has the content of one zip of a server without a limit.
func requireWhole(t *testing.T, f *forest, b []byte, paths ...string) {
	t.Helper()
	var nodes []download.NodeID
	for _, e := range forestList(paths...).Entries {
		nodes = append(nodes, e.Node)
	}
	one, _ := f.oneZip(nodes)
	require.Equal(t, entries(t, one), entries(t, b))
}

// A download that the server refuses as too large is got in parts and read as one zip.
// The server holds two parts at most, and none in the end. A remount finds the same
// bytes.
// Proves S-163, S-166.
func TestParts(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		waiter := wait(d)
		later(3 * time.Second)
		s := d.Snapshot()
		require.Equal(t, download.StatusInProgress, s.Status)
		require.NoError(t, s.Err)
		require.Equal(t, int64(18*300+6+2500), s.TotalBytes)
		require.Equal(t, int64(20), s.TotalFiles)
		require.Equal(t, 9, s.Parts.Total)
		require.Positive(t, s.Parts.Done)
		require.Positive(t, s.Parts.Running)
		require.Less(t, s.BytesAdded, s.TotalBytes)
		require.NoError(t, <-waiter)

		b := w.read(d)
		requireWhole(t, f, b, "site")
		s = d.Snapshot()
		require.Equal(t, download.StatusDone, s.Status)
		require.Equal(t, []int64{s.TotalBytes, s.TotalFiles}, []int64{s.BytesAdded, s.FilesAdded})
		require.Equal(t, download.PartsProgress{Total: 9, Done: 9}, s.Parts)
		require.Equal(t, "site.zip", s.Archive.Name)
		require.Equal(t, s.Archive.Size, s.CachedBytes)
		require.LessOrEqual(t, f.peak, 2)
		later(time.Minute)
		require.Equal(t, []download.ID{d.ID()}, f.left(), "only the download that was refused")
		asked := f.made

		w.reopen()
		d = w.find(d.ID())
		require.Equal(t, download.StatusDone, d.Snapshot().Status)
		require.Equal(t, b, w.get(d))
		require.Equal(t, asked, f.made)

		// A reader can read on after the removal.
		a, err := w.OpenArchive(d)
		require.NoError(t, err)
		require.NoError(t, w.Remove(d))
		got := make([]byte, len(b))
		_, err = a.ReadAt(t.Context(), got, 0)
		require.NoError(t, err)
		require.Equal(t, b, got)
		require.NoError(t, a.Close())
		later(time.Minute)
		require.Empty(t, f.left())
		require.Zero(t, w.archives.OpenHandles())
		require.Zero(t, w.Usage().Used)
		w.reopen()
		require.Empty(t, w.Downloads())
	})
}

// While one part is zipped, the one before is fetched, and that a part is DONE is
// noticed soon: it takes little more time than the server does to zip.
// Proves S-223.
func TestPartsTakeLittleMoreThanZipping(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.zipping = 20 * time.Second
		f.onCall(func(op, id string) error {
			if op == "Stream" {
				time.Sleep(10 * time.Second)
			}
			return nil
		})
		began := time.Now()
		requireWhole(t, f, w.get(w.ask("site")), "site")
		took := time.Since(began)
		require.Less(t, took, 8*20*time.Second+10*time.Second+8*time.Second, "8 parts, and a file")
		require.Less(t, f.calls("Get"), 8*30)
		require.LessOrEqual(t, f.peak, 2)
	})
}

// While it is walked, the status tells how far that is.
// Proves S-224.
func TestPartsTellHowFarTheWalkIs(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.onCall(func(op, id string) error {
			if op == "Children" {
				time.Sleep(time.Second)
			}
			return nil
		})
		d := w.ask("site")
		var last download.Looked
		for s := d.Snapshot(); s.Parts.Total == 0; s = d.Snapshot() {
			l := s.Parts.Looked
			require.GreaterOrEqual(t, l.Folders, last.Folders)
			require.GreaterOrEqual(t, l.Nodes, last.Nodes)
			last = l
			later(100 * time.Millisecond)
		}
		require.Equal(t, 5, last.Folders)
		require.Greater(t, last.Nodes, 18, "of 24: the last page comes with the plan")
		w.get(d)
		require.Zero(t, d.Snapshot().Parts.Looked)
	})
}

// Several nodes, twins among them, are one zip in the order of the list.
// Proves S-163.
func TestPartsOfSeveralNodes(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		paths := []string{"site/b/paper 1.txt", "site/a", "site/a/paper 1.txt", "site/b", "site/note.txt"}
		d := w.ask(paths...)
		requireWhole(t, f, w.get(d), paths...)
		require.Equal(t, "archive.zip", d.Snapshot().Archive.Name)
	})
}

// A part that is lost on the way is asked for again, and no other part is.
// Proves S-168.
func TestPartsLostOnTheWay(t *testing.T) {
	for name, fault := range map[string]func(f *forest) (hook func(op, id string) error){
		"nothing": func(f *forest) func(op, id string) error { return nil },
		"cancelled by somebody": func(f *forest) func(op, id string) error {
			return once("Get", func(id string) error { f.zips[download.ID(id)].state = download.StatusCancelled; return nil })
		},
		"deleted by the cleaner": func(f *forest) func(op, id string) error {
			return once("Get", func(id string) error { delete(f.zips, download.ID(id)); return nil })
		},
		"deleted while it is fetched": func(f *forest) func(op, id string) error {
			return once("Stream", func(id string) error { delete(f.zips, download.ID(id)); return nil })
		},
		"dead without a word": func(f *forest) func(op, id string) error {
			return once("Get", func(id string) error { f.zips[download.ID(id)].state = download.StatusInProgress; return nil })
		},
		"damaged": func(f *forest) func(op, id string) error {
			return once("Archive", func(id string) error {
				b := f.zips[download.ID(id)].zip
				copy(b[30:], "X")
				return nil
			})
		},
		"its bytes damaged": func(f *forest) func(op, id string) error {
			return once("Archive", func(id string) error { damage(f.zips[download.ID(id)].zip); return nil })
		},
		"answer lost":  func(f *forest) func(op, id string) error { return once("Create", fails(download.ErrUncertain)) },
		"server fails": func(f *forest) func(op, id string) error { return once("Create", fails(download.ErrServerFailed)) },
		"unreachable":  func(f *forest) func(op, id string) error { return once("Stream", fails(download.ErrUnavailable)) },
		"no walking":   func(f *forest) func(op, id string) error { return once("Children", fails(download.ErrUnavailable)) },
		"not allowed":  func(f *forest) func(op, id string) error { return once("Create", fails(download.ErrForbidden)) },
		"404 once":     func(f *forest) func(op, id string) error { return once("Get", fails(download.ErrNotFound)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := aForest()
			inForest(t, f, func(t *testing.T, w *world) {
				d := w.ask("site")
				w.refused(d)
				hook := fault(f)
				f.onCall(func(op, id string) error {
					if hook == nil || id == string(d.ID()) {
						return nil
					}
					f.mu.Lock()
					defer f.mu.Unlock()
					return hook(op, id)
				})
				for err := d.Wait(t.Context()); err != nil; err = d.Wait(t.Context()) {
					t.Log("a waiter is told:", err)
					later(time.Minute)
				}
				requireWhole(t, f, w.read(d), "site")
				later(time.Hour)
				require.Equal(t, []download.ID{d.ID()}, f.left())
				require.LessOrEqual(t, f.made, 1+8+1, "one more than there are")
				require.LessOrEqual(t, f.peak, 2)
				require.Equal(t, 9, w.archives.OpenHandles())
			})
		})
	}
}

// once calls f with the second request of that kind.
func once(op string, f func(id string) error) func(op, id string) error {
	var n atomic.Int64
	return func(o, id string) error {
		if o != op || n.Add(1) != 2 {
			return nil
		}
		return f(id)
	}
}

// damage changes the bytes of a file in a zip, and nothing else of it.
func damage(b []byte) {
	descriptor := bytes.Index(b[bytes.Index(b, []byte(".txt")):], []byte("PK\x07\x08")) + bytes.Index(b, []byte(".txt"))
	b[descriptor-6] ^= 0x10
}

func fails(err error) func(string) error {
	return func(string) error { return fmt.Errorf("scripted: %w", err) }
}

// If a part is lost again and again, the waits end with the reason. The part is not
// asked for again until somebody waits again.
// Proves S-168.
func TestPartsGivenUp(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.zipping = 1000 * time.Hour
		f.onCall(func(op, id string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if g := f.zips[download.ID(id)]; op == "Get" && g != nil && g.bytes <= f.limit && g.state == "" {
				g.state = download.StatusInProgress
				g.began = time.Now().Add(time.Hour) // its counters stand still
			}
			return nil
		})
		d := w.ask("site")
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrStalled)
		require.Equal(t, err.Error(), d.Snapshot().Err.Error())
		require.Contains(t, err.Error(), "no progress with a part")
		asked := f.made
		require.LessOrEqual(t, asked, 1+2*4)
		later(50 * time.Minute)
		require.Equal(t, asked, f.made)

		f.onCall(nil)
		f.mu.Lock()
		f.zipping = time.Second
		f.mu.Unlock()
		requireWhole(t, f, w.get(d), "site")
	})
}

// A part that is damaged again and again is not taken, and the server is not kept busy
// with it. The damaged zips are deleted there.
// Proves S-168.
func TestPartsDamagedForGood(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.onCall(func(op, id string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if g := f.zips[download.ID(id)]; op == "Archive" && g != nil && g.nodes[0] == "site_a_paper-0.txt" {
				damage(g.zip)
			}
			return nil
		})
		d := w.ask("site")
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrProtocol)
		require.Contains(t, err.Error(), "a part's zip is damaged")
		later(time.Minute)
		asked := f.made
		require.LessOrEqual(t, asked, 1+4+2)
		require.LessOrEqual(t, f.peak, 2)
		later(50 * time.Minute)
		require.Equal(t, asked, f.made)

		f.onCall(nil)
		requireWhole(t, f, w.get(d), "site")
		later(time.Hour)
		require.Equal(t, []download.ID{d.ID()}, f.left())
	})
}

// If the content of a part is not there, although the server says that it is DONE, the
// server is not kept zipping it for ever. Neither is it if the content changes all the
// time, or if somebody cancels each zip. The waits end with the reason.
// Proves S-168.
func TestPartsNeverCome(t *testing.T) {
	for name, row := range map[string]struct {
		hook func(f *forest) func(op, id string) error
		err  error
		says string
	}{
		"404": {func(*forest) func(op, id string) error {
			return func(op, id string) error {
				if op == "Stream" && strings.HasPrefix(id, "zip-") {
					return fails(download.ErrNotFound)(id)
				}
				return nil
			}
		}, download.ErrExpired, "the server has deleted a part before it was fetched"},
		"changed": {func(*forest) func(op, id string) error {
			return func(op, id string) error {
				if op == "Stream" && strings.HasPrefix(id, "zip-") {
					return fails(download.ErrChanged)(id)
				}
				return nil
			}
		}, download.ErrChanged, "a part changed on the server while it was fetched"},
		"cancelled": {func(f *forest) func(op, id string) error {
			return func(op, id string) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				if g := f.zips[download.ID(id)]; op == "Get" && g != nil && g.bytes <= f.limit {
					g.state = download.StatusCancelled
				}
				return nil
			}
		}, download.ErrServerFailed, "a part was cancelled on the server"},
	} {
		t.Run(name, func(t *testing.T) {
			f := aForest()
			inForest(t, f, func(t *testing.T, w *world) {
				f.onCall(row.hook(f))
				d := w.ask("site")
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				err := d.Wait(ctx)
				require.ErrorIs(t, err, row.err)
				require.Contains(t, err.Error(), row.says)
				require.Equal(t, err.Error(), d.Snapshot().Err.Error())
				later(time.Minute)
				asked := f.made
				require.LessOrEqual(t, asked, 1+4+1)
				require.LessOrEqual(t, f.peak, 2)
				later(50 * time.Minute)
				require.Equal(t, asked, f.made)
				require.Equal(t, row.says, d.Snapshot().Err.Error())

				f.onCall(nil)
				requireWhole(t, f, w.get(d), "site")
				later(time.Hour)
				require.Equal(t, []download.ID{d.ID()}, f.left())
			})
		})
	}
}

// One answer that makes no sense, or that is about other content, costs time only.
// Proves S-168.
func TestPartsOneStrangeAnswer(t *testing.T) {
	for name, hook := range map[string]func(op, id string) error{
		"no valid Create":   once("Create", fails(download.ErrProtocol)),
		"no valid Get":      once("Get", fails(download.ErrProtocol)),
		"no valid Node":     once("Node", fails(download.ErrProtocol)),
		"no valid Children": once("Children", fails(download.ErrProtocol)),
		"no valid Archive":  once("Archive", fails(download.ErrProtocol)),
		"no valid Stream":   once("Stream", fails(download.ErrProtocol)),
		"changed":           once("Stream", fails(download.ErrChanged)),
	} {
		t.Run(name, func(t *testing.T) {
			f := aForest()
			inForest(t, f, func(t *testing.T, w *world) {
				d := w.ask("site")
				f.onCall(func(op, id string) error {
					if id == string(d.ID()) {
						return nil
					}
					return hook(op, id)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				require.NoError(t, d.Wait(ctx))
				requireWhole(t, f, w.read(d), "site")
				require.LessOrEqual(t, f.made, 1+8+1, "one more than there are")
				require.Equal(t, 9, w.archives.OpenHandles())
			})
		})
	}
}

// Without prefetching, and without a waiter, parts are fetched all the same: the server
// cannot hold them, and the download is DONE only then. Nothing else is fetched.

// Proves S-194.
func TestPartsWithoutPrefetch(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		require.NoError(t, w.Close())
		w.config.Prefetch = false
		w.open()
		small := w.ask("site/note.txt")
		d := w.ask("site")
		later(time.Minute)
		require.Equal(t, download.StatusDone, d.Snapshot().Status)
		require.Equal(t, d.Snapshot().Archive.Size, d.Snapshot().CachedBytes)
		require.Equal(t, download.StatusDone, small.Snapshot().Status)
		require.Zero(t, small.Snapshot().CachedBytes)
	})
}

// A server that is away for long only costs time: waiters are told, and then it goes
// on.
// Proves S-168.
func TestPartsServerAway(t *testing.T) {
	for _, op := range []string{"Create", "Get", "Children", "Archive", "Stream"} {
		for name, fault := range map[string]error{"away": download.ErrUnavailable, "talks nonsense": download.ErrProtocol} {
			t.Run(op+" "+name, func(t *testing.T) { testPartsServerAway(t, op, fault) })
		}
	}
}

func testPartsServerAway(t *testing.T, op string, fault error) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		var away atomic.Bool
		away.Store(true)
		f.onCall(func(o, id string) error {
			if o == op && id != string(d.ID()) && away.Load() {
				return fmt.Errorf("scripted: %w", fault)
			}
			return nil
		})
		require.ErrorIs(t, d.Wait(t.Context()), fault)
		require.Contains(t, d.Snapshot().Err.Error(), "since 2000-01-01T00:0")
		later(20 * time.Minute)
		away.Store(false)
		for err := d.Wait(t.Context()); err != nil; err = d.Wait(t.Context()) {
			require.ErrorIs(t, err, fault)
			later(time.Second)
		}
		requireWhole(t, f, w.read(d), "site")
		require.Equal(t, 1+8, f.made)
	})
}

// A panic is an error of that download only. The mount goes on.
// Proves S-168.
func TestPartsPanic(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.onCall(once("Create", func(string) error { panic("scripted") }))
		d := w.ask("site")
		for d.Wait(t.Context()) != nil {
			later(time.Minute)
		}
		requireWhole(t, f, w.read(d), "site")
	})
}

// The server counts more than the nodes tell, so the parts are too large as well. They
// are cut smaller.
// Proves S-169.
func TestPartsTooLargeAgain(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		f.more = 350
		d := w.ask("site")
		requireWhole(t, f, w.get(d), "site")
		later(time.Minute)
		require.Equal(t, []download.ID{d.ID()}, f.left())
	})
}

// A node that is gone before it is asked for is left out, as in a zip of the server.
// Proves S-169.
func TestPartsGoneMeanwhile(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		w.refused(d)
		f.mu.Lock()
		for _, id := range []string{"site_b_paper-2.txt", "site_b_deep_paper-5.txt"} {
			delete(f.trees, id)
		}
		f.mu.Unlock()
		requireWhole(t, f, w.get(d), "site")
	})
}

// However often the mount ends in between, what was fetched is not asked for again, and
// nothing is left on the server.
// Proves S-166, S-167.
func TestPartsGoOnAfterRestarts(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := aForest()
			rng := rand.New(rand.NewPCG(seed, 7))
			inForest(t, f, func(t *testing.T, w *world) {
				d := w.ask("site")
				for range 1 + rng.IntN(8) {
					later(time.Duration(rng.IntN(1500)) * time.Millisecond)
					w.reopen()
					d = w.find(d.ID())
				}
				requireWhole(t, f, w.get(d), "site")
				later(time.Minute)
				require.Equal(t, []download.ID{d.ID()}, f.left())
				require.Equal(t, 1+8, f.made, "each part once")
				require.LessOrEqual(t, f.peak, 2)
			})
		})
	}
}

// Removing and cancelling, at any moment, leave nothing on the server and nothing in
// the cache, and end the waits.
// Proves S-170.
func TestPartsRemoved(t *testing.T) {
	for name, end := range map[string]func(w *world, d *download.Download) error{
		"remove":  func(w *world, d *download.Download) error { return w.Remove(d) },
		"discard": func(w *world, d *download.Download) error { return w.Discard(d) },
		"discard, restart, remove": func(w *world, d *download.Download) error {
			if err := w.Discard(d); err != nil {
				return err
			}
			synctest.Wait()
			w.reopen()
			d = w.find(d.ID())
			require.Equal(w.t, download.StatusCancelled, d.Snapshot().Status)
			return w.Remove(d)
		},
		"remove, restart": func(w *world, d *download.Download) error {
			err := w.Remove(d)
			synctest.Wait()
			w.reopen()
			return err
		},
	} {
		for _, moment := range []time.Duration{0, 49, 51, 60, 700, 1100, 2500, 4000} {
			t.Run(fmt.Sprintf("%s after %d ms", name, moment), func(t *testing.T) {
				f := aForest()
				inForest(t, f, func(t *testing.T, w *world) {
					f.onCall(func(op, id string) error { time.Sleep(3 * time.Millisecond); return nil })
					d := w.ask("site")
					waiter := wait(d)
					time.Sleep(moment * time.Millisecond)
					require.NoError(t, end(w, d))
					require.ErrorIs(t, <-waiter, download.ErrCancelled)
					later(5 * time.Minute)
					if name == "discard" {
						require.Equal(t, download.StatusCancelled, d.Snapshot().Status)
						require.Equal(t, []download.ID{d.ID()}, f.left())
					} else {
						require.Empty(t, f.left())
					}
					require.Zero(t, w.archives.OpenHandles())
					require.Zero(t, w.Usage().Used)
				})
			})
		}
	}
}

// A part that is removed while it is fetched stays open until its fetching has ended.
// Proves S-170.
func TestPartsRemovedWhileFetched(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		slow := make(chan struct{})
		f.onCall(func(op, _ string) error {
			if op == "Stream" {
				<-slow
			}
			return nil
		})
		d := w.ask("site")
		w.refused(d)
		later(10 * time.Second)
		require.Equal(t, 1, w.archives.OpenHandles())
		require.NoError(t, w.Remove(d))
		require.Equal(t, 1, w.archives.OpenHandles(), "closed under its reader")
		close(slow)
		later(time.Second)
		require.Zero(t, w.archives.OpenHandles())
	})
}

// While a busy mount waits to be unmounted, who has an archive open reads on.
// Proves S-55.
func TestPartsReadWhileClosing(t *testing.T) {
	inForest(t, aForest(), func(t *testing.T, w *world) {
		d := w.ask("site")
		want := w.get(d)
		a, err := w.OpenArchive(d)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		got := make([]byte, len(want))
		_, err = a.ReadAt(t.Context(), got, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.NoError(t, a.Close())
	})
}

// Taking the archive away leaves an entry that says so.
// Proves S-172.
func TestPartsMovedOut(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		w.get(d)
		require.NoError(t, w.Discard(d))
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired)
		require.Zero(t, w.Usage().Used)
		w.reopen()
		d = w.find(d.ID())
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired)
		require.NoError(t, w.Remove(d))
	})
}

// If the cache has lost something, it cannot be read any more, and the reader is told
// so.
// Proves S-172.
func TestPartsLostFromTheCache(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		d := w.ask("site")
		w.get(d)
		require.NoError(t, w.Close())
		require.NoError(t, w.archives.Drop("zip-4"))
		w.open()
		d = w.find(d.ID())
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrExpired)
		require.Contains(t, d.Snapshot().Err.Error(), "the cache does not have all parts")

		// If the download is not DONE, the lost piece is asked for again.
		d = w.ask("site")
		later(4 * time.Second)
		require.Equal(t, download.StatusInProgress, d.Snapshot().Status)
		require.NoError(t, w.Close())
		for id := range 5 {
			require.NoError(t, w.archives.Drop(download.ID(fmt.Sprintf("zip-%d", 12+id))))
		}
		w.open()
		d = w.find(d.ID())
		requireWhole(t, f, w.get(d), "site")
		w.reopen()
		requireWhole(t, f, w.get(w.find(d.ID())), "site")
	})
}

// A cache that is too small is reported before anything is requested. With a larger one
// it goes on.
// Proves S-171.
func TestPartsNeedRoom(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		w.archives.Limit = 1 << 20
		d := w.ask("site")
		err := d.Wait(t.Context())
		require.ErrorIs(t, err, download.ErrTooLarge)
		require.Regexp(t, "7906 bytes, .* limit of 1000, and the cache is too small .* --cache-size 2M", err.Error())
		require.Equal(t, download.StatusTooLarge, d.Snapshot().Status)
		require.Equal(t, 1, f.made)
		w.reopen()
		d = w.find(d.ID())
		require.ErrorIs(t, d.Wait(t.Context()), download.ErrTooLarge)
		require.NoError(t, w.Close())
		w.archives.Limit = 2 << 20
		w.open()
		requireWhole(t, f, w.get(w.find(d.ID())), "site")
	})
}

// With a PartSize, a zip that the server would make is cancelled. A file in a folder
// that no zip can hold is found while the server zips.
// Proves S-164.
func TestPartsBeforeTheServerRefuses(t *testing.T) {
	for name, set := range map[string]func(c *download.Config){
		"part size": func(c *download.Config) { c.PartSize = 1000 },
		"max file":  func(c *download.Config) { c.MaxFile = 2000 },
	} {
		t.Run(name, func(t *testing.T) {
			f := aForest()
			f.limit = 1 << 20
			inForest(t, f, func(t *testing.T, w *world) {
				require.NoError(t, w.Close())
				set(&w.config)
				w.open()
				f.zipping = 10 * time.Second
				d := w.ask("site")
				requireWhole(t, f, w.get(d), "site")
				require.Positive(t, d.Snapshot().Parts.Total)
				later(time.Minute)
				f.mu.Lock()
				require.Equal(t, download.StatusCancelled, f.zips[d.ID()].state)
				f.mu.Unlock()
				require.Equal(t, []download.ID{d.ID()}, f.left())
			})
		})
	}
}

// A file that changes while it is read is read again.
// Proves S-164.
func TestPartsFileChanges(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		changes := 0
		f.onCall(func(op, id string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if op == "Stream" && id == "site_film.mkv" && changes < 2 {
				changes++
				l := f.trees[id]
				l.data, l.modified = strings.Repeat("F", 2500+changes), l.modified.Add(time.Hour)
			}
			return nil
		})
		d := w.ask("site")
		requireWhole(t, f, w.get(d), "site")
		require.Equal(t, 2, changes)
	})
}

// A file that was replaced by another of the same size while the server was away is
// read anew.
// Proves S-164.
func TestPartsFileReplacedBetweenTries(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		asked := 0
		f.onCall(func(op, id string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if op != "Node" || id != "site_film.mkv" {
				return nil
			}
			if asked++; asked == 2 { // it has been read once
				l := f.trees[id]
				l.data, l.modified = strings.Repeat("other", 500), l.modified.Add(time.Hour)
				return fails(download.ErrUnavailable)(id)
			}
			return nil
		})
		d := w.ask("site")
		requireWhole(t, f, w.get(d), "site")
		require.Equal(t, 4, asked)
	})
}

// With PartSize below zero the server's refusal is final.
// Proves S-14.
func TestPartsOff(t *testing.T) {
	f := aForest()
	inForest(t, f, func(t *testing.T, w *world) {
		require.NoError(t, w.Close())
		w.config.PartSize = -1
		w.open()
		d := w.ask("site")
		require.ErrorIs(t, d.Wait(context.Background()), download.ErrTooLarge)
		require.Equal(t, 1, f.made)
	})
}
