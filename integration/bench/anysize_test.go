package bench

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

func inSmallParts(t *testing.T, u harness.User) []cell { return inParts(t, u, 40) }

func inLargeParts(t *testing.T, u harness.User) []cell { return inParts(t, u, 4)[:1] }

// inPacedParts is for a server that takes its time, as real ones do.
func inPacedParts(t *testing.T, u harness.User) []cell {
	return inParts(t, u, 4, "--archive-rate", "100M", "--content-rate", "100M")[:1]
}

// inParts compares an archive that is got in parts with one zip that a server without
// a limit makes of the same, each from asking for it until the last byte is read. It
// also measures how much room the server's zips take meanwhile.
func inParts(t *testing.T, u harness.User, parts int64, flags ...string) []cell {
	const folders, each = 20, 10
	dir := harness.Dir(t, harness.User{})
	for i := range folders * each {
		folder := fmt.Sprintf("%s/site/%02d", dir, i/each)
		require.NoError(t, os.MkdirAll(folder, 0o755))
		noiseFile(t, fmt.Sprintf("%s/%03d.bin", folder, i), *size/(folders*each))
	}
	free := harness.StartServer(t, dir, append(flags, "--max-content-size", "1T")...)
	data := harness.Dir(t, harness.User{})
	limited := harness.StartServerIn(t, data, dir, append(flags, "--max-content-size", fmt.Sprint(*size/parts))...)
	over, took, base, memory, room := ratio(), seconds(), seconds(), resident(), resident()
	got, warm := 0, warmed()
	for range *runs {
		warm.before(t, *size)
		start := time.Now()
		curl(t, free, u, zipped(t, free, "site"), "/dev/null")
		one := time.Since(start)

		m := mount(t, limited, u)
		peak := watchSize(data)
		warm.before(t, *size)
		start = time.Now()
		id := submit(t, m, limited.NodeID(t, "site"))
		long(m.Cmd("exec cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		whole := time.Since(start)
		_, err := fmt.Sscan(m.Status(t, id, "parts"), &got)
		require.NoError(t, err)
		_, most := m.Resident(t)
		m.Sh(t, "rm -r "+id).OK(t)
		zips := peak()
		require.Positive(t, zips, "the server's zips were not found")
		room.add(float64(zips) / 1e6)
		m.Unmount(t)
		over.add(whole.Seconds() / one.Seconds())
		took.add(whole.Seconds())
		base.add(one.Seconds())
		memory.add(float64(most) / 1e6)
	}
	limit := fmt.Sprintf("%d parts of at most %.0f MB", got, float64(*size/parts)/1e6)
	return []cell{{pair{over, took}, "one zip, curl " + base.String() + "; " + warm.String()}, {room, limit}, {memory, limit}}
}

// watchSize watches how large the files below dir are in all, until the returned
// function is called for the most that they were.
func watchSize(dir string) (peak func() int64) {
	var most int64
	var watching sync.WaitGroup
	stop := make(chan struct{})
	watching.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var now int64
			_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					if info, err := e.Info(); err == nil {
						now += info.Size()
					}
				}
				return nil // files come and go
			})
			most = max(most, now)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	return func() int64 {
		close(stop)
		watching.Wait()
		return most
	}
}

// walking counts what it takes to look into 10,000 folders.
func walking(t *testing.T, u harness.User) []cell {
	const above, folders, files = 100, 10_000, 3
	dir := harness.Dir(t, harness.User{})
	for i := range folders {
		folder := fmt.Sprintf("%s/site/%03d/%05d", dir, i/above, i)
		require.NoError(t, os.MkdirAll(folder, 0o755))
		for j := range files {
			sparse(t, fmt.Sprintf("%s/%d.txt", folder, j), 100)
		}
	}
	s := harness.StartServer(t, dir, "--max-content-size", fmt.Sprint(folders*files*100/5))
	requests, all := count(), count()
	for range *runs {
		m := mount(t, s, u)
		walk, total := stat(t, s, "children")+stat(t, s, "node"), stat(t, s, "total")
		id := submit(t, m, s.NodeID(t, "site"))
		long(m.Cmd("exec cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		requests.add(stat(t, s, "children") + stat(t, s, "node") - walk)
		all.add(stat(t, s, "total") - total)
		m.Sh(t, "rm -r "+id).OK(t)
		m.Unmount(t)
	}
	return []cell{{requests, "in all, with the parts, " + all.String()}}
}

// sparse makes a file of n bytes that takes no room on disk.
func sparse(t *testing.T, path string, n int64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(n))
	require.NoError(t, f.Close())
}

// manyEntriesInParts measures the memory that an archive of a million entries takes
// that is got in parts, read to its end, and listed.
func manyEntriesInParts(t *testing.T, u harness.User) []cell {
	const entries = folders * inFolder
	dir := millionDocuments(t, 1)
	s := harness.StartServer(t, dir, "--max-content-size", fmt.Sprint(entries/10))
	got, read, listed := resident(), resident(), resident()
	for range *runs {
		m := mount(t, s, u)
		now := func() float64 {
			_, most := m.Resident(t)
			return float64(most) / 1e6
		}
		id := submit(t, m, s.NodeID(t, "folder"))
		waiter := m.Cmd("exec head -c 1 " + id + "/archive.zip")
		waiter.Timeout = 30 * time.Minute // the server zips a million files
		waiter.Run(t).OK(t)
		got.add(now())
		long(m.Cmd("exec cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		read.add(now())
		r := long(m.Cmd("find -L " + id + "/contents/ -type f | wc -l")).Run(t)
		require.Equal(t, fmt.Sprintln(entries), r.OK(t).Stdout)
		listed.add(now())
		m.Sh(t, "rm -r "+id).OK(t)
		m.Unmount(t)
	}
	return []cell{{listed, "when DONE " + got.String() + ", when read " + read.String()}}
}
