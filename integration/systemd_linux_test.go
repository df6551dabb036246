package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// userUnit returns the systemd unit of an ordinary user.
func userUnit(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../dist/systemd/user/downloadfs@.service")
	require.NoError(t, err)
	return string(text)
}

// unitSetting returns what a unit says of key.
func unitSetting(unit, key string) string {
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value
		}
	}
	return ""
}

// TestSystemdUnitRules: systemd starts the units again after whatever may pass,
// however often, and not after a refused login, which would lock the account.
// Proves S-158.
func TestSystemdUnitRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../dist/systemd/system/downloadfs@.service")
	require.NoError(t, err)
	var never []string
	for _, unit := range []string{userUnit(t), string(text)} {
		assert.Equal(t, "notify", unitSetting(unit, "Type"))
		assert.Equal(t, "on-failure", unitSetting(unit, "Restart"), "which is any exit code but 0, and any signal but those that ask to end")
		assert.Equal(t, "0", unitSetting(unit, "StartLimitIntervalSec"), "else five quick failures are the last")
		pause, err := strconv.Atoi(unitSetting(unit, "RestartSec"))
		require.NoError(t, err)
		assert.GreaterOrEqual(t, pause, 1, "it must not keep the server busy")
		never = append(never, unitSetting(unit, "RestartPreventExitStatus"))
	}
	require.Equal(t, never[0], never[1])
	never = strings.Fields(never[0])

	s := harness.StartServer(t, harness.Samples(t))
	exit := func(t *testing.T, o harness.MountOptions) string {
		o.Flags = []string{"--retry-timeout", shortBudget}
		m, failure := harness.TryMount(t, s, o)
		require.Nil(t, m, "it mounted")
		return strconv.Itoa(failure.Code)
	}
	for _, code := range []int64{403, 404, 200, 500, 502, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			assert.NotContains(t, never, exit(t, harness.MountOptions{URL: startBooting(t, s, code).url}))
		})
	}
	assert.Contains(t, never, exit(t, harness.MountOptions{Password: "wrong"}))
	assert.Contains(t, never, exit(t, harness.MountOptions{URL: "http://ecm.example.org"}), "nor when it is used wrongly")
}

// systemdScript boots systemd as the first process of namespaces of its own, where
// it can change nothing of this machine. $1 is a directory, in which are the units.
const systemdScript = `set -e
umount --all --lazy --types fuse.downloadfs || true
cg=$1/cgroup; mkdir -p $cg
mount -t cgroup2 cgroup2 $cg
own=$cg/${1##*/}; mkdir -p $own; echo $$ >$own/cgroup.procs
exec unshare --cgroup sh -c '
	umount -R /sys/fs/cgroup 2>/dev/null || true
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys
	mount --bind /etc /etc; mount -o remount,ro,bind /etc
	mount -t tmpfs tmpfs /run; mkdir -p /run/systemd
	cp -r $1/units /run/systemd/system
	container=docker exec $2 --unit=test.target --log-target=console
' sh $1 $2`

// bootSystemd boots systemd with the units in dir/units, of which it starts test.target.
// It skips the test where it cannot. It has the machine for itself: its namespaces would
// hold what other tests mount.
func bootSystemd(t *testing.T, dir string) *harness.Process {
	t.Helper()
	systemd := "/usr/lib/systemd/systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("there is no systemd here: ", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can boot a systemd")
	}
	boot := harness.Cmd{Name: "unshare", Args: []string{"--mount", "--pid", "--fork", "--uts", "--kill-child", "--mount-proc",
		"sh", "-c", systemdScript, "sh", dir, systemd}, Timeout: 2 * harness.Timeout}.Start(t)
	t.Cleanup(func() {
		if boot.Running() {
			boot.Signal(t, syscall.SIGKILL)
		}
		boot.Wait()
		// Its processes are gone a moment later, and only then are its cgroups free.
		harness.Eventually(t, harness.Timeout, func() bool {
			return harness.Run(t, harness.Timeout, "unshare", "--mount", "sh", "-c",
				`umount --all --lazy --types fuse.downloadfs; mount -t cgroup2 cgroup2 $1/cgroup || exit 0; own=$1/cgroup/${1##*/}; find $own -depth -type d -exec rmdir {} + ; test ! -d $own`, "sh", dir).Code == 0
		}, "cgroups are left")
	})
	return boot
}

// TestSystemdUnit runs the unit under a real systemd, while the server is not
// there for longer than systemd's own limit of starts allows.
// Proves S-158.
func TestSystemdUnit(t *testing.T) {
	s := harness.StartServer(t, harness.Samples(t))
	front := startBooting(t, s, 404)
	dir := harness.Dir(t, harness.User{})
	harness.Tree(t, dir, map[string]string{"config.yaml": "profiles:\n  work:\n    url: " + front.url + "\n    mountpoint: " + dir + "/alfresco\n" +
		"    username: " + harness.AdminName + "\n    password: " + harness.AdminPassword + "\n"})
	require.NoError(t, os.Chmod(filepath.Join(dir, "config.yaml"), 0o600))
	unit := strings.NewReplacer("%i", "work", "/usr/bin/downloadfs", harness.Binary()).Replace(userUnit(t))
	harness.Tree(t, dir, map[string]string{
		"units/alfresco.service": unit,
		// What makes it quick, and of a small system.
		"units/alfresco.service.d/test.conf": "[Unit]\nDefaultDependencies=no\n[Service]\nRestartSec=100ms\n" +
			"Environment=DOWNLOADFS_CONFIG=" + dir + "/config.yaml DOWNLOADFS_RETRY_TIMEOUT=1s DOWNLOADFS_STATE_DIR=" + dir + "/state DOWNLOADFS_CACHE_DIR=" + dir + "/cache\n" +
			"StandardOutput=append:" + dir + "/out\nStandardError=append:" + dir + "/err\n",
		"units/test.target": "[Unit]\nDefaultDependencies=no\nWants=alfresco.service\n",
	})
	if harness.Sh(t, "command -v systemd-analyze").Code == 0 {
		harness.Run(t, harness.Timeout, "systemd-analyze", "verify", "--man=no", filepath.Join(dir, "units/alfresco.service")).OK(t)
	}
	boot := bootSystemd(t, dir)
	read := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return string(text)
	}
	failed := func() int { return strings.Count(read("err"), "downloadfs: cannot reach ") }
	await := func(ok func() bool, what string) {
		t.Helper()
		harness.Eventually(t, 2*harness.Timeout, func() bool {
			if !boot.Running() {
				require.Empty(t, read("err"), "systemd has ended: %s", boot.Wait())
				t.Skip("systemd does not run here: ", boot.Wait())
			}
			return ok()
		}, "%s; %s %s", what, read("err"), boot.Output())
	}
	// systemd gives up after five starts in ten seconds, if a unit lets it.
	await(func() bool { return failed() >= 4 }, "it was not started again while Tomcat answered 404")
	front.code.Store(403)
	await(func() bool { return failed() >= 7 }, "it was not started again while a gateway answered 403")
	assert.Empty(t, read("out"))
	front.code.Store(0)
	began := time.Now()
	await(func() bool { return strings.Contains(read("out"), "mounted ") }, "it does not come up when the server does")
	t.Logf("mounted %v after the server was there", time.Since(began))
}
