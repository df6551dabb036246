package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/integration/ports"
)

// Whatever keeps a mount from starting is told in one line, with its exit code.
// Proves S-35, S-53.
func TestMountFailures(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	taken := harness.StartMount(t, s, harness.MountOptions{})
	dir := harness.Dir(t, harness.User{})
	file, full := filepath.Join(dir, "file"), filepath.Join(dir, "full")
	harness.Tree(t, dir, map[string]string{"file": "x", "full/precious.txt": "x"})
	closed := "http://" + ports.Free(t) // refuses connections

	starting := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(starting.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome</html>") }))
	t.Cleanup(other.Close)

	t.Run("each", func(t *testing.T) {
		for _, c := range []struct {
			name string
			o    harness.MountOptions
			code int
			says string
		}{
			{"wrong password", harness.MountOptions{Password: "wrong"}, 3, `refuses the login of "admin"`},
			{"unknown user", harness.MountOptions{Username: "nobody-here", Password: "wrong"}, 3, "refuses the login"},
			{"unreachable server", harness.MountOptions{URL: closed}, 4, "cannot reach " + closed},
			{"http to another host", harness.MountOptions{URL: "http://ecm.example.org"}, 2, "--allow-http"},
			{"not a server of this kind", harness.MountOptions{URL: other.URL}, 1, "Alfresco"},
			{"a server that starts, or none of this kind", harness.MountOptions{URL: starting.URL}, 4, "API is not there"},
			{"missing mountpoint", harness.MountOptions{Path: filepath.Join(dir, "missing")}, 5, "mkdir -p"},
			{"mountpoint is a file", harness.MountOptions{Path: file}, 5, "not a directory"},
			{"mountpoint is not empty", harness.MountOptions{Path: full}, 5, "not empty"},
			{"mounted already", harness.MountOptions{Path: taken.Path}, 5, "downloadfs unmount"},
			{"foreign mount", harness.MountOptions{Path: "/proc"}, 5, "choose another directory"},
			{"state in use", harness.MountOptions{StateDir: taken.StateDir}, 6, "in use by another downloadfs, which is mounted on " + taken.Path + "; "},
			{"cache in use", harness.MountOptions{CacheDir: taken.CacheDir}, 6, "in use by another downloadfs, which is mounted on " + taken.Path + "; "},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				m, failure := harness.TryMount(t, s, c.o)
				require.Nil(t, m, "it mounted")
				assert.Equal(t, c.code, failure.Code, "%+v", failure)
				assert.Contains(t, failure.Line, c.says)
				assert.True(t, strings.HasPrefix(failure.Line, "downloadfs: "), failure.Line)
				assert.NotContains(t, failure.Line, "\n", "more than one line")
				assert.NotContains(t, failure.Line, "wrong")
				assert.Empty(t, failure.Stdout)
			})
		}
	})
	assert.Empty(t, taken.List(t), "the mount in the way was harmed")
}

// A server or a password that was mistyped leaves no directories, nor does the mountpoint
// of a profile stay.
// Proves S-53, S-156.
func TestFailedMountLeavesNothing(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, harness.User{})
	for _, c := range []struct {
		url, password string
		code          int
	}{{s.URL, "wr0ng", 3}, {"http://127.0.0.1:1", harness.AdminPassword, 4}} {
		config := configFile(t, harness.User{}, "profiles:\n  work:\n    url: "+c.url+"\n    mountpoint: "+dir+"/mnt/work\n")
		r := harness.Cmd{
			Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + c.password}, Name: harness.Binary(),
			Args: []string{"mount", "--config", config, "--retry-timeout", shortBudget, "--state-dir", dir + "/state", "--cache-dir", dir + "/cache", "work"},
		}.Run(t)
		assert.Equal(t, c.code, r.Code, "%s", r)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, left)
	}
}

// The service manager is told when the mount is ready, and when it ends.
// Proves S-59.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	name := filepath.Join(harness.Dir(t, harness.User{}), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(harness.Timeout)))
	told := func() string {
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{Env: []string{"NOTIFY_SOCKET=" + name}})
	assert.Equal(t, "READY=1", told())
	m.Unmount(t)
	assert.Equal(t, "STOPPING=1", told())
}

// SIGTERM releases who waits and unmounts.
// Proves S-54.
func TestSignalReleasesWaiters(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "10K")
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Allow: []string{`cannot unmount yet`}})
		id := m.Create(t, s.NodeID(t, photos))
		// It waits from outside the mount, so that it does not keep it busy.
		reader := harness.Cmd{User: u, Name: "cat", Args: []string{filepath.Join(m.Downloads, id, "archive.zip")}}.Start(t)
		reader.Blocked(t)
		begun := time.Now()
		m.Unmount(t)
		r := reader.Wait()
		assert.Less(t, time.Since(begun), harness.Scaled(3*time.Second))
		assert.Equal(t, 1, r.Code)
		assert.Contains(t, r.Stderr, "Transport endpoint is not connected")
	})
}

// A busy mount says who holds it, and is unmounted as soon as it is free.
// Proves S-55.
func TestBusyMount(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Allow: []string{`cannot unmount yet`}})
		holder := m.Cmd("exec sleep 60").Start(t)
		holder.Becomes(t, "sleep")

		r := harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", m.Path}}.Run(t)
		assert.Equal(t, 1, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, fmt.Sprintf("sleep (pid %d: working directory)", holder.Pid()))
		assert.Equal(t, 1, strings.Count(r.Stderr, "\n"), "more than one line")

		m.Signal(t, syscall.SIGTERM)
		record := m.Log.AwaitRecord(t, harness.Timeout, "who holds the mount", func(r harness.Record) bool {
			return r.String("reason") != ""
		})
		assert.Contains(t, record.String("reason"), fmt.Sprintf("sleep (pid %d: working directory)", holder.Pid()))
		assert.True(t, m.Running())
		holder.Signal(t, syscall.SIGKILL)
		assert.Zero(t, m.ExitCode(t))
		assert.False(t, harness.Mounted(t, m.Path))
	})
}

// A second signal detaches a busy mount.
// Proves S-55.
func TestSecondSignalDetaches(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Allow: []string{`cannot unmount yet`, `detached while in use`}})
		holder := m.Cmd("exec sleep 60").Start(t)
		holder.Becomes(t, "sleep")
		m.Signal(t, syscall.SIGINT)
		m.Log.AwaitRecord(t, harness.Timeout, "that it is busy", func(r harness.Record) bool { return r.String("reason") != "" })
		m.Signal(t, syscall.SIGINT)
		assert.Zero(t, m.ExitCode(t))
		assert.False(t, harness.Mounted(t, m.Path))
	})
}

// Whoever unmounts, the process ends, and well.
// Proves S-57.
func TestUnmountFromOutside(t *testing.T) {
	asUsers(t, func(t *testing.T, u harness.User) {
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		commands := [][]string{{harness.Binary(), "unmount"}, {harness.Binary(), "unmount", "--lazy"}, {"fusermount3", "-u"}}
		if u.Root() {
			commands = append(commands, []string{"umount"})
		}
		for i, c := range commands {
			if i > 0 {
				m.Remount(t)
			}
			harness.Cmd{User: u, Name: c[0], Args: append(c[1:], m.Path)}.Run(t).OK(t)
			assert.Zero(t, m.ExitCode(t), "%v", c)
			assert.False(t, harness.Mounted(t, m.Path), "%v", c)
		}
	})
}

// Unmount takes the mount that it is run in itself.
// Proves S-58.
func TestUnmountFromInside(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		harness.Cmd{User: u, Dir: m.Path, Name: harness.Binary(), Args: []string{"unmount", "."}}.Run(t).OK(t)
		assert.Zero(t, m.ExitCode(t))
		assert.False(t, harness.Mounted(t, m.Path))
	})
}

// Proves S-58.
func TestUnmountRefuses(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	for path, says := range map[string]string{
		dir:              "nothing is mounted",
		"/proc":          "not of downloadfs",
		dir + "/missing": "nothing is mounted",
	} {
		r := harness.Run(t, harness.Timeout, harness.Binary(), "unmount", path)
		assert.Equal(t, 5, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, says)
	}
}

// A dead mount is removed by unmount, too.
// Proves S-58.
func TestUnmountDeadMount(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		m.Kill9(t)
		harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", m.Path}}.Run(t).OK(t)
		assert.False(t, harness.Mounted(t, m.Path))
	})
}

// Without its server a mount starts if it knows downloads, and shows them.
// Proves S-37.
func TestMountWithoutServer(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{})
	id := m.Create(t, s.NodeID(t, photos))
	sum := m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t)
	m.Unmount(t)
	s.Stop(t)
	m.Log.Allow(`"op":"mount"`)
	m.Log.Allow(`connection refused`)
	m.Remount(t)
	assert.Equal(t, []string{id}, m.List(t))
	assert.Equal(t, sum, m.Sh(t, "md5sum < "+id+"/archive.zip").Out(t), "a cached archive needs no server")
}

// SIGUSR1 makes a mount tell what it uses, and goes on.
func TestDump(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	m := harness.StartMount(t, s, harness.MountOptions{})
	for range 2 {
		d := m.Dump(t)
		assert.Positive(t, d.Goroutines)
		assert.Positive(t, d.Descriptors)
		assert.Positive(t, d.HeapBytes)
		assert.Contains(t, d.Stacks, "goroutine ")
	}
	assert.Empty(t, m.List(t))
}

// demoZipTime gives the demo time for its steps while the server zips, on a slow machine
// too.
var demoZipTime = "--zip-time=" + harness.Scaled(4*time.Second).String()

// The demo shows the main job, does what it shows, leaves nothing behind, and
// no command in it sees a password.
// Proves S-60, S-61.
func TestDemo(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		tmp := harness.Dir(t, u)
		bin := harness.Dir(t, harness.User{})
		// The demo's unzip tells its environment first.
		script := "#!/bin/sh\nenv >> " + tmp + "/env\nexec /usr/bin/unzip \"$@\"\n"
		require.NoError(t, os.WriteFile(filepath.Join(bin, "unzip"), []byte(script), 0o755))
		r := harness.Cmd{
			User: u, Timeout: time.Minute, Name: harness.Binary(), Args: []string{"demo", demoZipTime},
			Env: []string{"TMPDIR=" + tmp, "PATH=" + bin + ":/usr/bin:/bin", "ALFRESCO_PASSWORD=s3cret-of-mine"},
		}.Run(t).OK(t)
		assert.Contains(t, r.Stdout, "IN_PROGRESS")
		assert.Contains(t, r.Stdout, "DONE")
		assert.Contains(t, r.Stdout, "the same\n")
		assert.Empty(t, r.Stderr)
		env, err := os.ReadFile(filepath.Join(tmp, "env"))
		require.NoError(t, err)
		assert.NotContains(t, string(env), "s3cret-of-mine")
		assert.NotContains(t, string(env), "ALFRESCO_PASSWORD")
		require.NoError(t, os.Remove(filepath.Join(tmp, "env")))
		left, err := os.ReadDir(tmp)
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

// cache lists, verifies and clears what mounts keep; it only lists that of a running one.
// Proves S-42.
func TestCacheCommand(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		id := m.Create(t, s.NodeID(t, photos))
		size := m.Sh(t, "wc -c < "+id+"/archive.zip").Out(t)
		m.AwaitStatus(t, harness.Timeout, id, "cachedBytes", size)
		cache := func(what string) harness.Result {
			return harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"cache", what, "--cache-dir", m.CacheDir}}.Run(t)
		}
		r := cache("clear")
		assert.Equal(t, 6, r.Code, "%s", r)
		assert.Contains(t, r.Stderr, "in use by another downloadfs, which is mounted on "+m.Path+"; ")
		listed := id + "  photos.zip  " + size + " of " + size + " bytes"
		harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(cache("list").Out(t), listed) }, "it is not listed")
		assert.Equal(t, size, m.Status(t, id, "cachedBytes"))
		m.Unmount(t)

		assert.Regexp(t, `(?m)^127\.0\.0\.1-\d+-admin-[0-9a-f]{8}: 1 archive, `+size+` bytes$`, cache("list").Out(t))
		assert.Contains(t, cache("list").Out(t), id+"  photos.zip  "+size+" of "+size+" bytes")
		assert.Contains(t, cache("verify").Out(t), "0 blocks damaged")

		files, err := filepath.Glob(filepath.Join(m.CacheDir, "*", "archives", "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		f, err := os.OpenFile(files[0], os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("no zip at all"), 100)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		r = cache("verify")
		assert.Equal(t, 1, r.Code, "%s", r)
		assert.Contains(t, r.Stdout, id+" is damaged at 0")
		assert.Contains(t, cache("verify").Out(t), "0 blocks damaged", "the damaged block is dropped")

		if !harness.Portable { // which gives up the whole archive for a damaged block
			assert.Contains(t, cache("clear").Out(t), "1 archive dropped")
		}
		assert.Contains(t, cache("list").Out(t), "0 archives, 0 bytes")
	})
}

// The password may be in a file instead of the environment.
// Proves S-65.
func TestPasswordFileMount(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		file := filepath.Join(harness.Dir(t, u), "password")
		write := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", `umask 077; cat > "$1"`, "sh", file}}
		write.Stdin = strings.NewReader(harness.AdminPassword + "\n")
		write.Run(t).OK(t)
		m := harness.StartMount(t, s, harness.MountOptions{User: u, Password: "not this one", Flags: []string{"--password-file", file}})
		assert.NotEmpty(t, m.Create(t, s.NodeID(t, photos)))
	})
}
