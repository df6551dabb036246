package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"downloadfs/integration/harness"
)

// mountedFuse opens /dev/fuse and mounts it on mnt.
func mountedFuse(t testing.TB, mnt string) *os.File {
	t.Helper()
	fd, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Mount("helper", mnt, "fuse.downloadfs", unix.MS_NOSUID|unix.MS_NODEV,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd.Fd())))
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	return fd
}

// A helper that may mount, as one in a container's host, opens /dev/fuse, mounts it,
// and hands it to a process that may not.
// Proves S-157, S-233.
func TestPassedDescriptor(t *testing.T) {
	t.Parallel()
	if !(harness.User{}).Root() {
		t.Skip("mounting without the binary needs root")
	}
	s := harness.StartServer(t, harness.Samples(t))
	for _, name := range []string{"unmounted from outside", "ended by a signal"} {
		t.Run(name, func(t *testing.T) {
			dir, mnt := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
			fd := mountedFuse(t, mnt)
			defer fd.Close()
			p := exec.Command(harness.Binary(), "mount", "--config", "/dev/null", "--state-dir", dir, "--cache-dir", dir+"/cache", s.URL, "/dev/fd/3")
			p.Env = []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword}
			p.ExtraFiles = []*os.File{fd}
			var stderr strings.Builder
			p.Stderr = &stderr
			out, err := p.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, p.Start())
			ended := make(chan error, 1)
			line := make([]byte, 200)
			n, err := out.Read(line)
			require.NoError(t, err, &stderr)
			assert.Contains(t, string(line[:n]), "mounted "+s.URL+" on /dev/fd/3")
			require.NoError(t, fd.Close())
			go func() { ended <- p.Wait() }()
			harness.Sh(t, "cd "+mnt+"/downloads && echo /"+photos+" >new && unzip -tq */archive.zip").OK(t)
			if name == "unmounted from outside" {
				harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
			} else {
				require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			}
			select {
			case err := <-ended:
				require.NoError(t, err, &stderr)
			case <-time.After(harness.Timeout):
				_ = p.Process.Kill()
				t.Fatalf("it does not end; its log: %s", &stderr)
			}
			assert.NotContains(t, stderr.String(), "level=ERROR")
			if name != "unmounted from outside" {
				r := harness.Sh(t, "ls "+mnt)
				assert.Contains(t, r.Stderr, "not connected")
			}
		})
	}
	t.Run("in the background", func(t *testing.T) {
		dir, mnt := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
		fd := mountedFuse(t, mnt)
		defer fd.Close()
		p := exec.Command(harness.Binary(), "mount", "--daemon", "--config", "/dev/null", "--state-dir", dir, "--cache-dir", dir+"/cache", s.URL, "/dev/fd/4")
		p.Env = []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword}
		p.ExtraFiles = []*os.File{nil, fd}
		out, err := p.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, "mounted "+s.URL+" on /dev/fd/4\n", string(out))
		require.NoError(t, fd.Close())
		pid := processOf(t, "/dev/fd/4")
		require.NotZero(t, pid)
		harness.Sh(t, "cd "+mnt+"/downloads && echo /"+photos+" >new && unzip -tq */archive.zip").OK(t)
		harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
		harness.Eventually(t, harness.Timeout, func() bool { return syscall.Kill(pid, 0) != nil }, "the process goes on after the unmount")
	})
	r := harness.Cmd{
		Env: []string{"ALFRESCO_USERNAME=a", "ALFRESCO_PASSWORD=b"}, Name: harness.Binary(),
		Args: []string{"mount", "--config", "/dev/null", "--state-dir", harness.Dir(t, harness.User{}), s.URL, "/dev/fd/7"},
	}.Run(t)
	assert.Equal(t, 5, r.Code, "%s", r)
	assert.Contains(t, r.Stderr, "descriptor 7")
}
