package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// inNamespace runs a program in a mount namespace of its own, as a container's,
// which keeps a copy of m. It gets one of every mount, and gives up those of the
// tests that run meanwhile.
func inNamespace(t *testing.T, m *harness.Mount) *harness.Process {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace needs root")
	}
	const script = `while read -r _ at type _; do
	if [ "$type" = fuse.downloadfs ] && [ "$at" != "$1" ]; then umount -l "$at"; fi
done < /proc/self/mounts; exec sleep 60`
	p := harness.Cmd{Name: "unshare", Args: []string{"--mount", "--propagation", "private", "sh", "-c", script, "sh", m.Path}}.Start(t)
	p.Becomes(t, "sleep")
	return p
}

const endedElsewhere = "the mount ends for others who have it too"

func awaitEndedElsewhere(t *testing.T, m *harness.Mount) string {
	t.Helper()
	return m.Log.AwaitRecord(t, harness.Timeout, "who has it mounted", func(r harness.Record) bool {
		return r.String("msg") == endedElsewhere
	}).String("reason")
}

// A mount that another mount namespace has too is ended all the same: by a signal,
// and when it is unmounted from outside. Its state is free for the next mount.
// Proves S-106.
func TestUnmountEndsOtherNamespaces(t *testing.T) {
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Allow: []string{endedElsewhere}})
		unmount := harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", m.Path}}
		for _, end := range []func(){
			func() { m.Signal(t, syscall.SIGTERM) },
			func() { m.Signal(t, syscall.SIGTERM); m.Signal(t, syscall.SIGTERM) },
			func() { unmount.Run(t).OK(t) },
		} {
			p := inNamespace(t, m)
			end()
			assert.Contains(t, awaitEndedElsewhere(t, m), fmt.Sprintf("sleep (pid %d) has it on %s", p.Pid(), m.Path))
			assert.Zero(t, m.ExitCode(t))
			assert.False(t, harness.Mounted(t, m.Path))
			m.Remount(t)
			p.Signal(t, syscall.SIGKILL)
			p.Wait()
		}
		p := inNamespace(t, m)
		unmount.Run(t).OK(t)
		m.Remount(t) // at once: it waits for the one that ends
		p.Signal(t, syscall.SIGKILL)
	})
}

// A bind mount of it does not keep it either, and unmount says that there is one.
// Proves S-106.
func TestUnmountNamesBindMounts(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a bind mount needs root")
	}
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{Allow: []string{endedElsewhere}})
	other := filepath.Join(harness.Dir(t, harness.User{}), "other")
	require.NoError(t, os.Mkdir(other, 0o700))
	harness.Sh(t, "mount --bind "+m.Path+" "+other).OK(t)
	t.Cleanup(func() { harness.Sh(t, "umount -l "+other) })

	r := harness.Run(t, harness.Timeout, harness.Binary(), "unmount", m.Path)
	assert.Equal(t, 1, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "the same file system is also on "+other)
	assert.False(t, harness.Mounted(t, m.Path))
	harness.Sh(t, "ls "+other+"/downloads").OK(t)

	m.Signal(t, syscall.SIGTERM)
	// Another test may hold a copy of all mounts, which is named then, too.
	assert.Contains(t, awaitEndedElsewhere(t, m), "it is also on "+other)
	assert.Zero(t, m.ExitCode(t))
}

// What is open when a mount is detached from outside is served to its end.
// Proves S-106.
func TestDetachedServesWhatIsOpen(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		id := submit(t, m, "Sites/press/documentLibrary/report.txt")
		want := archiveMD5(t, s, id)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		defer w.Close()
		reader := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", `exec 3< "$1" && echo open && read go && md5sum <&3`, "sh",
			filepath.Join(m.Downloads, id, "archive.zip")}, Stdin: r}.Start(t)
		harness.Eventually(t, harness.Timeout, func() bool { return reader.Output() != "" }, "not open")
		harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", "--lazy", m.Path}}.Run(t).OK(t)
		m.Log.AwaitRecord(t, harness.Timeout, "that it goes on", func(r harness.Record) bool {
			return r.String("msg") == "unmounted from outside; open files can be read until a signal comes"
		})
		_, err = w.WriteString("go\n")
		require.NoError(t, err)
		assert.Contains(t, reader.Wait().Out(t), want)
		assert.Zero(t, m.ExitCode(t))
	})
}

// What is mounted over it, or in its place, is never unmounted instead of it.
// Proves S-107.
func TestUnmountLeavesOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting something over it needs root")
	}
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{Allow: []string{"cannot unmount yet", endedElsewhere}})
	harness.Sh(t, "mount -t tmpfs over "+m.Path+" && touch "+m.Path+"/mine").OK(t)
	m.Signal(t, syscall.SIGTERM)
	m.Log.AwaitRecord(t, harness.Timeout, "why it stays", func(r harness.Record) bool {
		return r.String("reason") == "another file system is mounted over it"
	})
	harness.Sh(t, "ls "+m.Path+"/mine && umount "+m.Path).OK(t)
	assert.Zero(t, m.ExitCode(t))

	m.Remount(t)
	p := inNamespace(t, m)
	harness.Sh(t, "umount "+m.Path+" && mount -t tmpfs instead "+m.Path+" && touch "+m.Path+"/mine").OK(t)
	m.Signal(t, syscall.SIGTERM)
	assert.Zero(t, m.ExitCode(t))
	harness.Sh(t, "ls "+m.Path+"/mine && umount "+m.Path).OK(t)
	p.Signal(t, syscall.SIGKILL)
}
