package fs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

func TestUnmountBusy(t *testing.T) {
	m := newTestMount(t)
	b := m.background(`cd $M && echo in && sleep 30`)
	m.eventually(func() bool { return strings.Contains(b.out.String(), "in") }, "somebody is in it")
	err := m.server.Unmount()
	require.ErrorIs(t, err, ErrBusy)
	assert.Contains(t, err.Error(), m.dir)
	require.NoError(t, b.Cancel())
	<-b.done
	require.NoError(t, m.server.Unmount())
	require.NoError(t, m.server.Unmount(), "again")
	m.server.Wait()
	entries, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestUnmountFromOutside(t *testing.T) {
	m := newTestMount(t)
	if os.Geteuid() == 0 {
		m.ok(`umount $M`)
	} else {
		m.ok(`fusermount3 -u $M`)
	}
	m.server.Wait()
	require.NoError(t, m.server.Unmount())
	require.NoError(t, m.server.UnmountLazy())
}

// A lazy unmount ends every call that is still in the mount.
func TestUnmountLazy(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	ready := m.domain.add("d2", nil)
	file, _ := m.archive(1 << 20)
	ready.finish(file, false)
	waiter := m.background(`exec cat $D/d1/archive.zip`)
	m.eventually(func() bool { return d.waiting() == 1 }, "it waits")
	holder := m.background(`exec 3<$D/d2/archive.zip; echo open; sleep 30`)
	m.eventually(func() bool { return strings.Contains(holder.out.String(), "open") }, "it is open")

	require.ErrorIs(t, m.server.Unmount(), ErrBusy)
	require.NoError(t, m.server.UnmountLazy())
	if os.Geteuid() != 0 && !aborts(m) {
		d.set(func(s *download.Snapshot) { s.Err = errors.New("closed") })
		require.NoError(t, holder.Cancel())
	}
	require.Error(t, m.ended(waiter, 3*time.Second))
	done := make(chan struct{})
	go func() { m.server.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		require.Fail(t, "still served")
	}
	_ = holder.Cancel()
	<-holder.done
}

// A mount whose connection has ended does nothing any more to the device that it had: a
// later mount, also one in its place, may have it by now.
// Proves S-107.
func TestDeviceUsedAgain(t *testing.T) {
	m := newTestMount(t)
	m.server.fs.contents.mu.Lock() // closing them waits
	t.Cleanup(m.server.fs.contents.mu.Unlock)
	require.NoError(t, m.server.Unmount())
	m.eventually(m.server.Gone, "its connection has ended")
	next := newTestMount(t, func(c *Config) { c.Mountpoint = m.dir })
	next.dir = m.dir
	m.server.fs.callers.mount.id = next.server.fs.callers.mount.id
	require.NoError(t, m.server.UnmountLazy())
	assert.Contains(t, next.ok(`ls $M`), "downloads")
}

func aborts(m *testMount) bool {
	_, minor, _ := strings.Cut(m.server.fs.callers.mount.id, ":")
	_, err := os.Stat("/sys/fs/fuse/connections/" + minor)
	return err == nil
}

// A handler that panics costs its caller EIO and nobody else anything.
// Proves S-78.
func TestPanic(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, data := m.archive(100_000)
	d.finish(file, false)
	m.domain.script(func(*fakeDomain) {
		d.onRead = func(context.Context, int64) error { panic("one bad read") }
	})
	out, err := m.sh(`cat $D/d1/archive.zip`)
	require.Error(t, err)
	assert.Contains(t, out, "Input/output error")
	assert.Contains(t, m.log.String(), "one bad read")
	assert.Contains(t, m.log.String(), "fakeArchive")
	m.domain.script(func(*fakeDomain) { d.onRead = nil })
	assert.Equal(t, hash(data)+"  -", m.ok(`sha256sum < $D/d1/archive.zip`))
}

func TestMountRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, path := range map[string]string{"missing": dir + "/none", "file": file} {
		_, err := mount(Config{Mountpoint: path}, newFakeDomain())
		require.ErrorIs(t, err, ErrMountpoint, name)
		assert.Contains(t, err.Error(), path)
	}
}
