package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/fetch"
)

// Proves S-131.
func TestProgressText(t *testing.T) {
	e := fetch.Event{Phase: fetch.Zipping, Done: 45_000_000, Total: 300_000_000, Files: 3, Of: 9}
	assert.Equal(t, "the server zips: 15%, 45 MB of 300 MB, file 3 of 9, 4.5 MB/s, 57 s left", progressText(e, 0, 45_000_000, 10*time.Second))
	e = fetch.Event{Phase: fetch.Fetching, Done: 5, Total: 10}
	assert.Equal(t, "[####################....................] fetching: 50%, 5 B of 10 B", progressText(e, 100, 0, 0))
	assert.Equal(t, "the server zips: waiting for its turn", progressText(fetch.Event{Phase: fetch.Zipping}, 100, 0, time.Minute))
	walking := fetch.Event{Phase: fetch.Assembling, Total: 300, Looked: download.Looked{Folders: 1, Nodes: 345}}
	assert.Equal(t, "looking what is in it: 345 nodes in 1 folder so far", progressText(walking, 100, 0, time.Minute))
	for width := 5; width < 120; width++ {
		assert.Less(t, len(progressText(e, width, 5, 2*time.Second)), width)
		assert.Less(t, len(progressText(walking, width, 0, time.Second)), width)
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_949: "9.9 kB", 12_345: "12 kB", 999_600: "1.0 MB", 1_500_000_000: "1.5 GB", 1 << 62: "4.6 EB"} {
		assert.Equal(t, want, bytesText(n), n)
	}
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 01 s", 3 * time.Hour: "3 h 00 min", 72 * time.Hour: "3 d"} {
		assert.Equal(t, want, timeText(d))
	}
}

// Where nobody looks, there is a line for each phase and one from time to time.
// Proves S-131.
func TestPlainProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, false)
	now := time.Unix(0, 0)
	p.now = func() time.Time { return now }
	for i := range 100 {
		now = now.Add(time.Second)
		p.event(fetch.Event{Phase: fetch.Zipping, Done: int64(i), Total: 100})
	}
	p.event(fetch.Event{Phase: fetch.Fetching, Done: 1, Total: 2})
	p.event(fetch.Event{Phase: fetch.Fetching, Done: 2, Total: 2})
	p.end()
	p.done(getResult{file: "a\x1b.zip", size: 2})
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	assert.Len(t, lines, 13)
	assert.Equal(t, "saved a?.zip (2 B)", lines[12])
	assert.NotContains(t, b.String(), "\r")

	b.Reset()
	p.done(getResult{dir: "out", extracted: fetch.Extracted{Files: 3, Numbered: []string{"sub/a (1).txt"}}})
	assert.Equal(t, "3 files unpacked into out\n1 name was taken there; the new file is sub/a (1).txt\n", b.String())
	b.Reset()
	p.done(getResult{dir: "out", extracted: fetch.Extracted{Files: 3, Numbered: []string{"a (1).txt", "b (4).txt"}}})
	assert.Equal(t, "3 files unpacked into out\n2 names were taken there; the new files have a number, as a (1).txt\n", b.String())
}

// A download that gets another name while status reads is shown once.
// Proves S-132.
func TestStatusOfRenamedDownloads(t *testing.T) {
	mountpoint := t.TempDir()
	dir := func(name string) string { return filepath.Join(mountpoint, "downloads", name) }
	name := func(n, name int) string { return fmt.Sprintf("%d called %d", n, name) }
	const downloads = 10
	for n := range downloads {
		require.NoError(t, os.MkdirAll(dir(name(n, 0)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir(name(n, 0)), "status.json"), fmt.Appendf(nil, `{"id": "%d"}`, n), 0o600))
	}
	renamed := make(chan error)
	go func() {
		defer close(renamed)
		for to := 1; to <= 200; to++ {
			for n := range downloads {
				if err := os.Rename(dir(name(n, to-1)), dir(name(n, to))); err != nil {
					renamed <- err
					return
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	for {
		all, err := readStatus(mountpoint)
		require.NoError(t, err)
		ids := map[string]bool{}
		for _, d := range all {
			ids[d.ID] = true
		}
		assert.Len(t, all, downloads)
		assert.Len(t, ids, downloads)
		select {
		case err := <-renamed:
			require.NoError(t, err)
			return
		default:
		}
	}
}

// What was read of a mount that has ended meanwhile is not shown.
// Proves S-132.
func TestStatusOfAnEndedMount(t *testing.T) {
	ended := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(ended, "downloads", "q3-report"), 0o700))
	s := &statusView{now: time.Now, before: map[string]statusSample{}}
	text, whole, err := s.renderMounts([]string{ended})
	require.NoError(t, err)
	assert.False(t, whole)
	assert.Empty(t, text)
}

// Proves S-132.
func TestStatusTable(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1_800_000_000, 0)
	s := &statusView{now: func() time.Time { return now }, before: map[string]statusSample{}}
	all := []downloadStatus{
		{ID: "1", Name: "q3-report", Status: download.StatusInProgress, BytesAdded: 250, TotalBytes: 1000, CreatedAt: now.Add(-100 * time.Second)},
		{ID: "2", Name: strings.Repeat("n\x1b", 60), Status: download.StatusDone, BytesAdded: 1000, TotalBytes: 1000, ArchiveSize: 500, CachedBytes: 250, CreatedAt: now.Add(-20 * time.Minute)},
		{ID: "3", Name: "large", Status: download.StatusTooLarge, BytesAdded: 10, TotalBytes: 1000},
	}
	all = append(all,
		downloadStatus{ID: "4", Name: "fresh", Status: download.StatusInProgress, BytesAdded: 10, TotalBytes: 1000, CreatedAt: now.Add(-2 * time.Second)},
		downloadStatus{ID: "5", Name: "parted", Status: download.StatusDone, BytesAdded: 10, TotalBytes: 10, Parts: 3, CreatedAt: now.Add(-time.Minute)})
	all = append(all, downloadStatus{ID: "6", Name: "queued", Status: download.StatusInProgress, BytesAdded: 250, TotalBytes: 1000,
		CreatedAt: now.Add(-time.Hour), BegunAt: now.Add(-10 * time.Second)})
	all = append(all,
		downloadStatus{ID: "7", Name: "stuck", Status: download.StatusInProgress, BytesAdded: 250, TotalBytes: 1000,
			CreatedAt: now.Add(-time.Hour), ChangedAt: now.Add(-62 * time.Second)},
		downloadStatus{ID: "8", Name: "silent", Status: download.StatusInProgress, BytesAdded: 250, TotalBytes: 1000,
			CreatedAt: now.Add(-time.Hour), ChangedAt: now.Add(-62 * time.Second), Silent: now.Add(-59 * time.Second)},
		downloadStatus{ID: "9", Name: "slow", Status: download.StatusInProgress, BytesAdded: 250, TotalBytes: 1000,
			CreatedAt: now.Add(-100 * time.Second), ChangedAt: now.Add(-50 * time.Second)})
	s.table(&b, all)
	lines := strings.Split(b.String(), "\n")
	assert.Regexp(t, `^NAME +STATE +ZIPPED +RATE +LEFT +HERE +AGE +EXPIRES$`, lines[0])
	assert.Regexp(t, `^q3-report +IN_PROGRESS +25% +2 B/s +5 min 00 s +- +1 min 40 s +-$`, lines[1])
	assert.Regexp(t, `^(n\?)+n… +DONE +100% +- +- +50% of 500 B +20 min 00 s +in 40 min 00 s$`, lines[2])
	assert.Regexp(t, `^large +MAX_CONTENT_SIZE_EXCEEDED +- +- +- +- +- +-$`, lines[3])
	assert.Regexp(t, `^fresh +IN_PROGRESS +1% +- +- +- +2 s +-$`, lines[4], "it is too early to tell")
	assert.Regexp(t, `^parted +DONE +100% +- +- +- +1 min 00 s +-$`, lines[5], "nothing of it is left on the server")
	assert.Regexp(t, `^queued +IN_PROGRESS +25% +25 B/s +30 s +- +1 h 00 min +-$`, lines[6], "the hour in which it waited for its turn does not count")
	assert.Regexp(t, `^stuck +IN_PROGRESS +25% +- +no progress for 1 min 02 s +- `, lines[7])
	assert.Regexp(t, `^silent +IN_PROGRESS +25% +- +no answer for 59 s +- `, lines[8])
	assert.Regexp(t, `^slow +IN_PROGRESS +25% +2 B/s +5 min 00 s +- `, lines[9], "it may be between two steps")
	assert.NotContains(t, b.String(), "\x1b")

	// Looked at again, the rate is that since then.
	now = now.Add(10 * time.Second)
	all[0].BytesAdded = 850
	assert.InDelta(t, 0.7*2.5+0.3*60, s.rate(all[0], now), 0.01)
}

// Proves S-132.
func TestFit(t *testing.T) {
	table := "NAME  STATE\na-ä-b  DONE\nc  DONE\nd  DONE\n"
	assert.Equal(t, table, fit(table, 80, 24))
	assert.Equal(t, table, fit(table, 11, 5))
	assert.Equal(t, "NAME …\na-ä-b…\nc  DO…\nd  DO…\n", fit(table, 6, 24))
	assert.Equal(t, "NAME  STATE\na-ä-b  DONE\n… and 2 more lines\n", fit(table, 80, 4))
	assert.Equal(t, "NAME  STATE\n… and 3 more lines\n", fit(table, 80, 3))
}
