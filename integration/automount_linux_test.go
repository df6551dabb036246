package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// autofs mounts at the first access, by a map that names a URL or a profile, and
// unmounts when nobody has used the mount for a while.
// Proves S-155.
func TestAutofs(t *testing.T) {
	if !(harness.User{}).Root() {
		t.Skip("autofs is root's")
	}
	if _, err := os.Stat("/dev/autofs"); err != nil {
		t.Skip("this kernel has no autofs: ", err)
	}
	s := harness.StartServer(t, harness.Samples(t))
	installMountHelpers(t)
	dir := harness.Dir(t, harness.User{})
	top := filepath.Join(dir, "auto")
	// mount(8) takes the profile's name for a path, since there is such a directory.
	options := "username=" + harness.AdminName + ",password-file=" + dir + "/password,config=" + dir + "/config.yaml,cache-size=1G,allow_other"
	where := func(name string) string {
		return ",state_dir=" + dir + "/state-" + name + ",cache_dir=" + dir + "/cache-" + name
	}
	harness.Tree(t, dir, map[string]string{
		"password":    harness.AdminPassword + "\n",
		"config.yaml": "profiles:\n  tmp:\n    url: " + s.URL + "\n",
		"master":      top + " file:" + dir + "/map --timeout=1\n",
		"map": "profile -fstype=fuse.downloadfs," + options + where("profile") + " :tmp\n" +
			"url -fstype=downloadfs," + options + where("url") + " :" + strings.ReplaceAll(s.URL, ":", `\:`) + "\n" +
			"wrong -fstype=downloadfs,no-such-option :tmp\n",
		// What autofs has of its own is of no use here.
		"autofs.conf": "",
	})
	for _, name := range []string{"password", "config.yaml"} {
		require.NoError(t, os.Chmod(filepath.Join(dir, name), 0o600))
	}
	require.NoError(t, os.Mkdir(top, 0o755))
	daemon := harness.Cmd{Name: "automount", Args: []string{"--foreground", "--verbose", "--pid-file", dir + "/pid", dir + "/master"}, Timeout: 3 * harness.Timeout}.Start(t)
	t.Cleanup(func() {
		for _, m := range harness.MountsBelow(t, top) {
			if m != top {
				harness.Run(t, harness.Timeout, harness.Binary(), "unmount", "--lazy", m)
			}
		}
		if daemon.Running() {
			daemon.Signal(t, syscall.SIGTERM)
		}
		r := daemon.Wait()
		if t.Failed() {
			t.Log(r)
		}
		for _, m := range harness.MountsBelow(t, top) {
			_ = syscall.Unmount(m, syscall.MNT_DETACH)
		}
	})
	harness.Eventually(t, harness.Timeout, func() bool { return harness.Mounted(t, top) || !daemon.Running() }, "autofs mounts nothing")
	require.True(t, daemon.Running(), "autofs has ended: %s", daemon.Output())

	assert.NotZero(t, harness.Sh(t, "ls "+top+"/wrong").Code)
	ordinary := harness.Ordinary(t)
	for _, name := range []string{"profile", "url"} {
		path := filepath.Join(top, name)
		assert.False(t, harness.Mounted(t, path), "before anybody has looked")
		r := harness.ShAs(t, ordinary, "ls "+path)
		require.Zero(t, r.Code, "%s\n%s", r, daemon.Output())
		assert.Equal(t, "README\ndownloads", strings.TrimSpace(r.Stdout))
		assert.True(t, harness.Mounted(t, path))
		harness.Sh(t, "cd "+path+"/downloads && echo /"+photos+" >new && unzip -tq */archive.zip").OK(t)
	}
	pid := processOf(t, filepath.Join(top, "url"))
	require.NotZero(t, pid)
	// Nobody uses it any more.
	harness.Eventually(t, harness.Timeout, func() bool {
		return !harness.Mounted(t, filepath.Join(top, "url")) && syscall.Kill(pid, 0) != nil
	}, "it stays mounted")
	// What was asked for is there at the next access.
	assert.NotEmpty(t, harness.Sh(t, "ls -d "+top+"/url/downloads/*/archive.zip").Out(t))
}

// A line of fstab with x-systemd.automount: systemd's own generator makes units of it,
// and a real systemd mounts at the first access.
// Proves S-155.
func TestSystemdAutomount(t *testing.T) {
	const generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
	if _, err := os.Stat(generator); err != nil {
		t.Skip("there is no systemd here: ", err)
	}
	if !(harness.User{}).Root() {
		t.Skip("fstab is root's")
	}
	if _, err := os.Stat("/dev/autofs"); err != nil {
		t.Skip("this kernel has no autofs: ", err)
	}
	s := harness.StartServer(t, harness.Samples(t))
	installMountHelpers(t)
	dir := harness.Dir(t, harness.User{})
	mnt := filepath.Join(dir, "alfresco")
	harness.Tree(t, dir, map[string]string{
		"password": harness.AdminPassword + "\n",
		"fstab": s.URL + " " + mnt + " downloadfs noauto,_netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=1h,allow_other,config=/dev/null,username=" +
			harness.AdminName + ",password-file=" + dir + "/password,state-dir=" + dir + "/state,cache-dir=" + dir + "/cache,log-file=" + dir + "/log 0 0\n",
		"units/test.target": "[Unit]\nDefaultDependencies=no\n",
	})
	require.NoError(t, os.Chmod(filepath.Join(dir, "password"), 0o600))
	for _, name := range []string{"early", "late"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	harness.Cmd{Env: []string{"SYSTEMD_FSTAB=" + dir + "/fstab", "SYSTEMD_LOG_TARGET=console"}, Name: generator, Args: []string{dir + "/units", dir + "/early", dir + "/late"}}.Run(t).OK(t)
	unit := strings.TrimPrefix(strings.ReplaceAll(strings.ReplaceAll(mnt, "-", `\x2d`), "/", "-"), "-")
	_, err := os.Stat(filepath.Join(dir, "units", unit+".automount"))
	require.NoError(t, err, harness.Sh(t, "ls -R "+dir+"/units").Stdout)
	harness.Tree(t, dir, map[string]string{"units/test.target": "[Unit]\nDefaultDependencies=no\nWants=" + unit + ".automount\n"})

	boot := bootSystemd(t, dir)
	in := func(script string) harness.Result {
		// The first process of its namespaces is the only child of unshare.
		first := strings.TrimSpace(string(must(os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", boot.Pid())))(t)))
		return harness.Run(t, harness.Timeout, "nsenter", "-t", first, "-m", "-p", "sh", "-c", script)
	}
	harness.Eventually(t, 2*harness.Timeout, func() bool {
		if !boot.Running() {
			t.Skip("systemd does not run here: ", boot.Wait())
		}
		return in("grep -q ' "+mnt+" autofs ' /proc/mounts").Code == 0
	}, "systemd does not watch the directory: %s", boot.Output())
	assert.NotZero(t, in("grep -q ' "+mnt+" fuse' /proc/mounts").Code, "before anybody has looked")
	assert.Equal(t, "README\ndownloads", in("ls "+mnt).Out(t))
	in("cd " + mnt + "/downloads && echo /" + photos + " >new && unzip -tq */archive.zip").OK(t)
	log := string(must(os.ReadFile(filepath.Join(dir, "log")))(t))
	assert.Contains(t, log, "mounted")
	assertNoSecret(t, "the log", log)
	assert.Equal(t, "active", in("systemctl is-active test.target").Out(t))
	in("systemctl stop '" + unit + ".automount'").OK(t)
}
