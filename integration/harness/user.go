package harness

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// User is the user that a process runs as. The zero value is the test's user.
type User struct {
	name     string
	uid, gid uint32
	other    bool
}

// Nobody returns an ordinary user who is not the test's. It needs root, and skips the
// test without it.
func Nobody(t testing.TB) User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("running tools as another user needs root")
	}
	return lookupUser(t, "nobody")
}

// Ordinary returns an ordinary user: nobody if the test runs as root, otherwise the
// test's own user.
func Ordinary(t testing.TB) User {
	t.Helper()
	if os.Geteuid() != 0 {
		return User{}
	}
	return lookupUser(t, "nobody")
}

func lookupUser(t testing.TB, name string) User {
	t.Helper()
	u, err := user.Lookup(name)
	require.NoError(t, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	require.NoError(t, err)
	return User{name: name, uid: uint32(uid), gid: uint32(gid), other: true}
}

// String returns the user's name.
func (u User) String() string {
	if !u.other {
		return "the test's user"
	}
	return u.name
}

// Root reports whether the user is root.
func (u User) Root() bool { return !u.other && os.Geteuid() == 0 }

// Row is added to a table's row for InShare, so that what root does in one share the
// ordinary user does in the other.
func (u User) Row() int {
	if u.Root() {
		return 0
	}
	return 1
}

// credential returns the credential for a process of this user.
func (u User) credential() *syscall.Credential {
	if !u.other {
		return nil
	}
	return &syscall.Credential{Uid: u.uid, Gid: u.gid, Groups: []uint32{u.gid}}
}

// own gives a file or directory to the user.
func (u User) own(t testing.TB, path string) {
	t.Helper()
	if u.other {
		require.NoError(t, os.Chown(path, int(u.uid), int(u.gid)))
	}
}

// Tool returns the path of a program that every user can run. It fails the test if
// the program is missing: scripts/setup installs all of them.
func Tool(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path
		}
	}
	require.FailNow(t, "missing tool", "%s is not installed; run: scripts/setup test", name)
	return ""
}

// mkdir makes a private directory that the user owns.
func (u User) mkdir(t testing.TB, path string) {
	t.Helper()
	require.NoError(t, os.Mkdir(path, 0o700))
	u.own(t, path)
}
