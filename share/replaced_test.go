package share

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// told returns how often a machine has told that the directory was replaced.
func (m *machine) told() int {
	return strings.Count(m.log.String(), "taken the place of the shared one; using that")
}

// sharing returns two machines that share a directory, and an archive that one of them
// has put there.
func sharing(t *testing.T) (server *downloadtest.Service, dir string, one, two *machine, info download.ArchiveInfo) {
	t.Helper()
	dir, server = filepath.Join(t.TempDir(), "share"), downloadtest.NewService()
	one, two = newMachine(t, server, openDir(t, dir)), newMachine(t, server, openDir(t, dir))
	time.Sleep(5 * time.Second)
	return server, dir, one, two, stored(t, one)
}

// TestDirectoryReplaced: when the shared directory is moved away and another one is put
// in its place, all mounts go over to that, and tell it once. What they have is shared
// there too.
// Proves S-232.
func TestDirectoryReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, dir, one, two, info := sharing(t)
		time.Sleep(5 * time.Second)
		require.Equal(t, download.StatusDone, two.status(t, info.ID))

		require.NoError(t, os.Rename(dir, dir+".old"))
		late := newMachine(t, server, openDir(t, dir))
		late.create(t, "22222222-2222-2222-2222-222222222222")
		time.Sleep(10 * time.Second)
		one.create(t, "33333333-3333-3333-3333-333333333333")
		time.Sleep(10 * time.Second)
		assert.Len(t, same(t, time.Second, one, two, late), 3)
		assert.Equal(t, 1, one.told(), "%s", &one.log)
		assert.Equal(t, 1, two.told(), "%s", &two.log)
		assert.Zero(t, late.told())
		assert.NotContains(t, one.log.String()+two.log.String(), "cannot be used")

		// Who has the archive puts it there again.
		a, err := one.manager.OpenArchive(mustFind(t, one, info.ID))
		require.NoError(t, err)
		require.NoError(t, a.Close())
		time.Sleep(10 * time.Second)
		want, _ := server.Content(info.ID)
		server.Expire(info.ID)
		got, err := late.readAll(t, info.ID)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))

		require.NoError(t, late.manager.Remove(mustFind(t, late, info.ID)))
		time.Sleep(10 * time.Second)
		assert.Len(t, same(t, time.Second, one, two, late), 2)
	})
}

// TestDirectoryGone: while there is no directory where the shared one was, nothing is
// written to the one that was moved away, and no archive is called EXPIRED.
// Proves S-232.
func TestDirectoryGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		server, dir, one, two, info := sharing(t)
		want, _ := server.Content(info.ID)
		time.Sleep(5 * time.Second)

		require.NoError(t, os.Rename(dir, dir+".old"))
		time.Sleep(5 * time.Second)
		server.Expire(info.ID)
		before := openDir(t, dir+".old")
		was, err := before.List(t.Context(), "")
		require.NoError(t, err)
		one.create(t, "22222222-2222-2222-2222-222222222222")
		time.Sleep(time.Hour)
		is, err := before.List(t.Context(), "")
		require.NoError(t, err)
		assert.Len(t, is, len(was))
		assert.Equal(t, download.StatusDone, two.status(t, info.ID))

		require.NoError(t, os.Rename(dir+".old", dir))
		time.Sleep(2 * time.Minute)
		assert.Len(t, same(t, time.Second, one, two), 2)
		got, err := two.readAll(t, info.ID)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
		assert.Zero(t, one.told())
	})
}

// TestReplacedWhileFetched: the mount that fetches an archive for all puts all of it into
// the new directory, and not what was still missing in the old one.
func TestReplacedWhileFetched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "share")
		s := newServer()
		s.pace = time.Second
		info := s.add("a", 50*mib)
		m := newMount(t, s, openDir(t, dir))
		require.NoError(t, m.readRange(info, s.content("a"), 0, 1))
		time.Sleep(25 * time.Second)
		require.DirExists(t, filepath.Join(dir, Prefix(Account("test")), "archive", "a"))

		require.NoError(t, os.Rename(dir, dir+".old"))
		require.NoError(t, os.Mkdir(dir, 0o700))
		l := &list{s: m.share, log: newRollLog(m.share), stored: make(map[download.ID]string)}
		for !m.way.replaced() {
			time.Sleep(time.Second)
		}
		l.renew(t.Context())
		time.Sleep(time.Minute)
		require.NoError(t, m.read(info))
		m.settled(info)
		for _, part := range []struct {
			dir    string
			pieces int
			done   bool
		}{{dir, newLayout(info.Size).pieces, true}, {dir + ".old", -1, false}} {
			files, err := filepath.Glob(filepath.Join(part.dir, Prefix(Account("test")), "archive/a/p-*"))
			require.NoError(t, err)
			if part.pieces >= 0 {
				assert.Len(t, files, part.pieces)
			}
			_, err = os.Stat(filepath.Join(part.dir, Prefix(Account("test")), "archive/a/done"))
			assert.Equal(t, part.done, err == nil, "%s", part.dir)
		}
	})
}
