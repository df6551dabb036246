package integration

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// machine is a system that has booted in namespaces of its own, but for the network.
type machine struct {
	t    *testing.T
	boot *harness.Process
}

// bootRootScript boots the system in the directory $1 with devices of its own, where it
// can change nothing of this machine. $2 is an empty directory.
const bootRootScript = `set -e
umount --all --lazy --types fuse.downloadfs || true
mkdir -p $2/cgroup
mount -t cgroup2 cgroup2 $2/cgroup
own=$2/cgroup/${2##*/}; mkdir -p $own; echo $$ >$own/cgroup.procs
exec unshare --cgroup sh -ec '
	mount --bind $1 $1
	cd $1
	mount -t proc proc proc
	mount --bind proc/sys proc/sys; mount -o remount,ro,bind proc/sys
	mount -t sysfs -o ro sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 tmpfs dev
	for name in null zero full random urandom tty fuse; do touch dev/$name; mount --bind /dev/$name dev/$name; done
	mkdir dev/pts dev/shm
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
	ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
	mount -t tmpfs -o mode=755 tmpfs run
	mkdir -p old
	pivot_root . old
	exec chroot . sh -c "umount -l /old; rmdir /old; exec env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --log-target=console"
' sh $1 $2`

// bootRoot boots the system in a directory and waits until it is up.
func bootRoot(t *testing.T, root string) *machine {
	t.Helper()
	work := harness.Dir(t, harness.User{})
	m := &machine{t: t}
	m.boot = harness.Cmd{
		Name: "unshare", Args: []string{"--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child", "--mount-proc", "sh", "-c", bootRootScript, "sh", root, work},
		Timeout: 15 * harness.Timeout,
	}.Start(t)
	t.Cleanup(func() {
		if m.boot.Running() {
			m.boot.Signal(t, syscall.SIGKILL)
		}
		r := m.boot.Wait()
		if t.Failed() {
			t.Log(r)
		}
		harness.Eventually(t, harness.Timeout, func() bool {
			return harness.Run(t, harness.Timeout, "unshare", "--mount", "sh", "-c",
				`mount -t cgroup2 cgroup2 $1/cgroup || exit 0; own=$1/cgroup/${1##*/}; test ! -d $own || find $own -depth -type d -exec rmdir {} + ; test ! -d $own`, "sh", work).Code == 0
		}, "cgroups are left")
	})
	harness.Eventually(t, 2*harness.Timeout, func() bool {
		require.True(t, m.boot.Running(), "it does not boot: %s", m.boot.Output())
		state := m.in("systemctl is-system-running").Stdout
		return strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded")
	}, "it does not come up")
	return m
}

// in runs a script there, as root.
func (m *machine) in(script string) harness.Result {
	m.t.Helper()
	// The first process of the namespaces is the only child of unshare.
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", m.boot.Pid()))
	first := strings.TrimSpace(string(children))
	if first == "" {
		return harness.Result{Code: -1, Stderr: "not there yet"}
	}
	return harness.Cmd{
		Name: "nsenter", Args: []string{"-t", first, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd=/", "sh", "-c", script}, Timeout: 5 * harness.Timeout,
		Env: []string{"HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"},
	}.Run(m.t)
}

// await waits until a script there succeeds.
func (m *machine) await(t *testing.T, what, script string) {
	t.Helper()
	var r harness.Result
	harness.Eventually(t, harness.Timeout, func() bool {
		r = m.in(script)
		return r.Code == 0
	}, "%s is not there", what)
}

// shutDown shuts the system down in order.
func (m *machine) shutDown(t *testing.T) {
	t.Helper()
	m.in("systemctl poweroff --no-block").OK(t)
	harness.Eventually(t, 2*harness.Timeout, func() bool { return !m.boot.Running() }, "it does not shut down")
}
