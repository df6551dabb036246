package integration

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// processOf returns the id of the process in the background whose command line
// ends with the mountpoint.
func processOf(t *testing.T, mountpoint string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range files {
		text, _ := os.ReadFile(f)
		if bytes.HasPrefix(text, []byte("downloadfs\x00mount\x00")) && bytes.HasSuffix(text, []byte("\x00"+mountpoint+"\x00")) {
			pid, err := strconv.Atoi(strings.Split(f, "/")[2])
			require.NoError(t, err)
			return pid
		}
	}
	return 0
}

// background unmounts at the end what a test mounts in the background.
func background(t *testing.T, mountpoint string) {
	t.Cleanup(func() {
		pid := processOf(t, mountpoint)
		if harness.Mounted(t, mountpoint) {
			harness.Run(t, harness.Timeout, harness.Binary(), "unmount", "--lazy", mountpoint)
		}
		harness.Eventually(t, harness.Timeout, func() bool { return pid == 0 || syscall.Kill(pid, 0) != nil }, "the process in the background does not end")
	})
}

// Proves S-62, S-154.
func TestDaemon(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t))
	dir, mnt := harness.Dir(t, u), harness.Dir(t, u)
	log := filepath.Join(dir, "logs", strings.ReplaceAll(strings.Trim(mnt, "/"), "/", "-")+".log")
	mount := func(password string, args ...string) harness.Result {
		return harness.Cmd{
			User: u, Dir: dir, Name: harness.Binary(),
			Env:  []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + password, "DOWNLOADFS_CONFIG=/dev/null"},
			Args: append(append([]string{"mount", "--daemon", "--state-dir", ".", "--cache-dir", "cache", "--log-level", "debug"}, args...), s.URL, mnt),
		}.Run(t)
	}
	// What goes wrong is told as without --daemon, with the same exit code.
	r := mount("wr0ng-one")
	assert.Equal(t, 3, r.Code, "%s", r)
	assert.Regexp(t, `^downloadfs: .*refuses the login of "admin".*\n$`, r.Stderr)
	assert.Empty(t, r.Stdout)
	r = mount(harness.AdminPassword, "--wait", "never")
	assert.Equal(t, 2, r.Code, "%s", r)
	assert.Equal(t, 1, strings.Count(r.Stderr, "\n"), r.Stderr)
	require.False(t, harness.Mounted(t, mnt))

	background(t, mnt)
	r = mount(harness.AdminPassword).OK(t)
	assert.Equal(t, "mounted "+s.URL+" on "+mnt+"\n", r.Stdout)
	assert.Empty(t, r.Stderr)
	in := func(script string) string { return harness.ShAs(t, u, "cd "+mnt+"/downloads && "+script).Out(t) }
	in("echo /" + photos + " >new && unzip -tq */archive.zip")

	// It has let go of where it was started.
	pid := processOf(t, mnt)
	require.NotZero(t, pid)
	proc := "/proc/" + strconv.Itoa(pid)
	environment, err := os.ReadFile(proc + "/environ")
	require.NoError(t, err)
	assertNoSecret(t, "the environment that it was started with", string(environment))
	told := harness.Sh(t, "readlink "+proc+"/cwd "+proc+"/fd/0 "+proc+"/fd/1 "+proc+"/fd/2; awk '{print $6, $7}' "+proc+"/stat").Out(t)
	assert.Equal(t, "/\n/dev/null\n/dev/null\n"+log+"\n"+strconv.Itoa(pid)+" 0", told, "working directory, descriptors, session and terminal")
	require.NoError(t, syscall.Kill(pid, syscall.SIGHUP))
	in("ls")

	// logrotate moves the log and says so.
	harness.ShAs(t, u, "mv "+log+" "+log+".old").OK(t)
	require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
	harness.Eventually(t, harness.Timeout, func() bool {
		in("ls")
		text, err := os.ReadFile(log)
		return err == nil && len(text) > 0
	}, "the log was not opened again")
	harness.Eventually(t, harness.Timeout, func() bool {
		to, _ := os.Readlink(proc + "/fd/2")
		return to == log
	}, "standard error stays with the old log")
	mode := harness.Sh(t, "stat -c %a "+log).Out(t)
	assert.Equal(t, "600", mode)

	harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", mnt}}.Run(t).OK(t)
	harness.Eventually(t, harness.Timeout, func() bool { return syscall.Kill(pid, 0) != nil }, "the process goes on after the unmount")
	all := harness.Sh(t, "cat "+log+".old "+log).Out(t)
	assert.Contains(t, all, "unmounted from outside")
	assertNoSecret(t, "the log", all)
}

// A mount in the background outlives the terminal that it was started on.
// Proves S-154, S-156.
func TestDaemonOutlivesTerminal(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	dir, mnt := harness.Dir(t, harness.User{}), filepath.Join(harness.Dir(t, harness.User{}), "made for it")
	config := configFile(t, harness.User{}, "profiles:\n  work:\n    url: "+s.URL+"\n    mountpoint: "+mnt+"\n    username: "+harness.AdminName+
		"\n    password: "+harness.AdminPassword+"\n    state-dir: "+dir+"\n    cache-dir: "+dir+"/cache\n")
	background(t, mnt)
	r := harness.Cmd{
		Env: []string{"SHELL=/bin/sh", "TERM=xterm"}, Name: "script",
		Args: []string{"-qec", harness.Binary() + " mount --daemon --config " + config + " work", "/dev/null"},
	}.Run(t).OK(t)
	assert.Contains(t, r.Stdout, "mounted "+s.URL)
	assert.Equal(t, "README\ndownloads", harness.Sh(t, "ls '"+mnt+"'").Out(t))
	harness.Run(t, harness.Timeout, harness.Binary(), "unmount", mnt).OK(t)
}

// Of two mounts that begin at once on one directory, one is refused, or content if it is
// mount(8)'s and they are of one account.
// Proves S-155, S-156.
func TestMountAtOnce(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	s := harness.StartServer(t, harness.Samples(t))
	to, err := url.Parse(s.URL)
	require.NoError(t, err)
	helper := filepath.Join(harness.Dir(t, u), "mount.downloadfs")
	require.NoError(t, os.Symlink(harness.Binary(), helper))
	atOnce := func(name string, args func(url, mnt string) []string, users ...string) (mnt string, results []harness.Result) {
		t.Helper()
		mnt = harness.Dir(t, u)
		state := harness.Dir(t, u)
		background(t, mnt)
		// Each has looked at the mountpoint when it asks the server.
		var asked atomic.Int32
		both := make(chan struct{})
		proxy := httputil.NewSingleHostReverseProxy(to)
		gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
				proxy.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		}))
		t.Cleanup(gate.Close)
		results = make([]harness.Result, len(users))
		var wg sync.WaitGroup
		for i, user := range users {
			env := []string{"ALFRESCO_USERNAME=" + user, "ALFRESCO_PASSWORD=" + harness.PasswordOf(user), "DOWNLOADFS_CONFIG=/dev/null",
				"DOWNLOADFS_STATE_DIR=" + state, "DOWNLOADFS_CACHE_DIR=" + state + "/cache"}
			wg.Go(func() { results[i] = harness.Cmd{User: u, Env: env, Name: name, Args: args(gate.URL, mnt)}.Run(t) })
		}
		wg.Wait()
		assert.Equal(t, "1", harness.Sh(t, "grep -c ' "+mnt+" ' /proc/self/mountinfo").Out(t))
		slices.SortFunc(results, func(a, b harness.Result) int { return a.Code - b.Code })
		return mnt, results
	}
	mnt, results := atOnce(harness.Binary(), func(url, mnt string) []string { return []string{"mount", "--daemon", url, mnt} },
		harness.AdminName, harness.UserName)
	assert.Zero(t, results[0].Code, "%s", results[0])
	assert.Equal(t, 5, results[1].Code, "%s", results[1])
	assert.Contains(t, results[1].Stderr, mnt+" is mounted already")
	_, results = atOnce(helper, func(url, mnt string) []string { return []string{url, mnt} }, harness.AdminName, harness.AdminName)
	for _, r := range results {
		assert.Zero(t, r.Code, "%s", r)
		assert.Empty(t, r.Stderr)
	}
}

// A mount in the background does not hold what the program that started it has open.
// Proves S-233.
func TestDaemonHoldsNoLock(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	dir, mnt := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
	background(t, mnt)
	lock := filepath.Join(dir, "lock")
	harness.Cmd{
		Env:  []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword, "DOWNLOADFS_CONFIG=/dev/null"},
		Name: "bash", Args: []string{"-c", `exec 9> "$0" && flock 9 && "$@"`, lock, harness.Binary(), "mount", "--daemon", "--state-dir", dir, "--cache-dir", dir + "/cache", s.URL, mnt},
	}.Run(t).OK(t)
	assert.Equal(t, "README\ndownloads", harness.Sh(t, "ls "+mnt).Out(t))
	assert.Zero(t, harness.Run(t, harness.Timeout, "flock", "-n", lock, "true").Code, "the mount holds the lock")
	harness.Run(t, harness.Timeout, harness.Binary(), "unmount", mnt).OK(t)
}

// installMountHelpers puts the binary where mount(8) looks for helpers. Two tests cannot
// do so at once.
func installMountHelpers(t *testing.T) {
	t.Helper()
	for _, name := range []string{"/sbin/mount.downloadfs", "/sbin/mount.fuse.downloadfs"} {
		if _, err := os.Lstat(name); err == nil {
			t.Skipf("%s is there: another version is installed", name)
		}
		require.NoError(t, os.Symlink(harness.Binary(), name))
		t.Cleanup(func() { require.NoError(t, os.Remove(name)) })
	}
}

// mount(8) mounts by a line of fstab, as systemd and autofs do, and umount ends it.
// Proves S-155.
func TestFstab(t *testing.T) {
	if !(harness.User{}).Root() {
		t.Skip("fstab is root's")
	}
	s := harness.StartServer(t, harness.Samples(t))
	dir, mnt := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
	installMountHelpers(t)
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte(harness.AdminPassword+"\n"), 0o600))
	background(t, mnt)
	mount := func(fstype, options string) harness.Result {
		fstab := filepath.Join(dir, "fstab")
		require.NoError(t, os.WriteFile(fstab, []byte(s.URL+" "+mnt+" "+fstype+" noauto,_netdev,nofail,x-systemd.automount,username="+harness.AdminName+
			",password-file="+password+",config=/dev/null,state_dir="+dir+"/state,cache-dir="+dir+"/cache,"+options+" 0 0\n"), 0o600))
		return harness.Run(t, harness.Timeout, "mount", "-T", fstab, mnt)
	}
	for _, fstype := range []string{"downloadfs", "fuse.downloadfs"} {
		r := mount(fstype, "allow_other,cache-size=1G").OK(t)
		assert.Empty(t, r.Stdout+r.Stderr)
		harness.ShAs(t, harness.Ordinary(t), "ls "+mnt+"/downloads").OK(t)
		pid := processOf(t, mnt)
		harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
		harness.Eventually(t, harness.Timeout, func() bool { return syscall.Kill(pid, 0) != nil }, "the process goes on after umount")
	}
	for options, says := range map[string]string{"cache-sise=1G": "did you mean cache-size?", "ro": "not supported", "username=nobody-here": "refuses the login"} {
		r := mount("downloadfs", options)
		assert.NotZero(t, r.Code)
		assert.Contains(t, r.Stderr, says)
	}
	// As another user.
	user := harness.Ordinary(t)
	harness.Sh(t, "chown -R nobody "+dir+" "+mnt).OK(t)
	mount("downloadfs", "setuid=nobody").OK(t)
	harness.ShAs(t, user, "ls "+mnt+"/downloads").OK(t)
	harness.Sh(t, "umount "+mnt).OK(t)
}

// mount -a leaves alone what it has mounted, replaces a dead mount, and fails if
// something else is mounted there.
// Proves S-155.
func TestFstabAgain(t *testing.T) {
	if !(harness.User{}).Root() {
		t.Skip("fstab is root's")
	}
	s, other := harness.StartServer(t, harness.Samples(t)), harness.StartServer(t, harness.Samples(t))
	dir, mnt := harness.Dir(t, harness.User{}), harness.Dir(t, harness.User{})
	installMountHelpers(t)
	profile := func(name, url, user string) string {
		return "  " + name + ":\n    url: " + url + "\n    username: " + user + "\n    password: " + harness.PasswordOf(user) +
			"\n    state-dir: " + dir + "/state\n    cache-dir: " + dir + "/cache\n"
	}
	config := configFile(t, harness.User{}, "profiles:\n"+profile("work", s.URL+"/share/page", harness.AdminName)+
		profile("finn", s.URL, harness.UserName)+profile("other", other.URL, harness.AdminName))
	mount := func(spec string, args ...string) harness.Result {
		fstab := filepath.Join(dir, "fstab")
		require.NoError(t, os.WriteFile(fstab, []byte(spec+" "+mnt+" downloadfs config="+config+" 0 0\n"), 0o600))
		return harness.Run(t, harness.Timeout, "mount", append([]string{"-T", fstab}, args...)...)
	}
	mounts := func() string { return harness.Sh(t, "grep -c ' "+mnt+" ' /proc/self/mountinfo").Out(t) }
	background(t, mnt)
	mount("work", "-a").OK(t)
	pid := processOf(t, mnt)
	require.NotZero(t, pid)
	assert.DirExists(t, dir+"/state", "the profile's directory is not used")
	assert.DirExists(t, dir+"/cache", "the profile's directory is not used")
	for _, args := range [][]string{{"-a"}, {mnt}} {
		r := mount("work", args...)
		assert.Zero(t, r.Code, "%s", r)
		assert.Empty(t, r.Stdout+r.Stderr)
		assert.Equal(t, "1", mounts())
		assert.Equal(t, pid, processOf(t, mnt))
	}
	for _, spec := range []string{"finn", "other"} {
		r := mount(spec, "-a")
		assert.NotZero(t, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, mnt+" is mounted already ("+s.URL+"); run: downloadfs unmount "+mnt)
	}
	r := harness.Run(t, harness.Timeout, harness.Binary(), "mount", "--daemon", "--config", config, "work", mnt)
	assert.Equal(t, 5, r.Code, "who says mount means a new one: %s", r)
	assert.Contains(t, r.Stderr, "is mounted already")

	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	harness.Eventually(t, harness.Timeout, func() bool { return harness.Run(t, harness.Timeout, "ls", mnt).Code != 0 }, "the mount is not dead")
	mount("work", "-a").OK(t)
	assert.Equal(t, "1", mounts())
	assert.Equal(t, "README\ndownloads", harness.Sh(t, "ls "+mnt).Out(t))
	harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
}

// The units that come with it are right, as far as systemd can say.
// Proves S-156.
func TestUnits(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	for _, kind := range []string{"user", "system"} {
		text, err := os.ReadFile("../dist/systemd/" + kind + "/downloadfs@.service")
		require.NoError(t, err)
		unit := filepath.Join(dir, "downloadfs@work.service")
		require.NoError(t, os.WriteFile(unit, bytes.ReplaceAll(text, []byte("/usr/bin/downloadfs"), []byte(harness.Binary())), 0o644))
		r := harness.Cmd{
			Env: []string{"XDG_RUNTIME_DIR=" + dir}, Name: "systemd-analyze",
			Args: []string{"verify", "--man=no", "--recursive-errors=no", "--" + kind, unit},
		}.Run(t)
		assert.Zero(t, r.Code, "%s", r)
		assert.NotContains(t, r.Stderr, "downloadfs@", "%s", r)
	}
	harness.Run(t, harness.Timeout, "python3", "-c", "import plistlib,sys; plistlib.load(open(sys.argv[1],'rb'))", repositoryFile(t, "dist/launchd/org.downloadfs.work.plist")).OK(t)
}

// repositoryFile is the absolute path of a file of the source.
func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../" + name)
	require.NoError(t, err)
	return path
}
