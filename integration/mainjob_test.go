package integration

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

const (
	library = "Sites/press/documentLibrary"
	photos  = library + "/photos"
)

// What a new user does first, with the tools that a new user has.
func TestMainJob(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "500K")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		folder, report := s.NodeID(t, photos), s.NodeID(t, library+"/report.txt")

		id := m.Sh(t, "echo "+folder+" "+report+" > new && cat new").Out(t)
		assert.Equal(t, []string{id}, m.List(t))
		first := m.Status(t, id, "status")
		assert.Contains(t, []string{"PENDING", "IN_PROGRESS"}, first)
		assert.Equal(t, folder+"\n"+report, m.Sh(t, "cat "+id+"/nodes").Out(t))

		// Nothing but the tool waits here.
		begun := time.Now()
		out := m.Sh(t, "unzip -l "+id+"/archive.zip").Out(t)
		assert.Contains(t, out, "photos/photo-7.jpg")
		assert.Greater(t, time.Since(begun), 300*time.Millisecond, "unzip did not wait")
		assert.Equal(t, "DONE", m.Status(t, id, "status"))
		assert.Equal(t, "DONE", s.Status(t, id))

		unpacked := harness.Dir(t, u)
		m.Sh(t, "unzip -q "+id+"/archive.zip -d "+unpacked).OK(t)
		harness.Run(t, harness.Timeout, "diff", "-r", filepath.Join(s.Dir, photos), filepath.Join(unpacked, "photos")).OK(t)
		harness.Run(t, harness.Timeout, "cmp", filepath.Join(s.Dir, library, "report.txt"), filepath.Join(unpacked, "report.txt")).OK(t)
	})
}

// rm -r cancels: who waits hears of it at once, and the server forgets it.
// Proves S-21.
func TestRemoveCancels(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "50K")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		id := m.Create(t, s.NodeID(t, photos))
		reader := m.Cmd("exec cat " + id + "/archive.zip").Start(t)
		reader.Blocked(t)

		m.Sh(t, "rm -r "+id).OK(t)
		removed := time.Now()
		r := reader.Wait()
		assert.Less(t, time.Since(removed), harness.Scaled(time.Second), "%s", r)
		assert.Equal(t, 1, r.Code)
		assert.Contains(t, r.Stderr, "Operation canceled")
		assert.Empty(t, r.Stdout)
		assert.Empty(t, m.List(t))
		harness.Eventually(t, harness.Timeout, func() bool {
			code, _ := s.Core(t, "GET", "/nodes/"+id, nil)
			return code == http.StatusNotFound
		}, "the server still has %s", id)
	})
}

// A refused list fails the tool that wrote it, and new says why.
// Proves S-5.
func TestRefusedList(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		r := m.Sh(t, "cp /dev/stdin new <<E\n00000000-0000-4000-8000-000000000000\nE")
		assert.NotZero(t, r.Code)
		assert.Contains(t, r.Stderr, "No such file or directory")
		r = m.Sh(t, "echo nonsense > new")
		assert.NotZero(t, r.Code, "a shell's echo must fail")
		assert.True(t, strings.HasPrefix(m.Sh(t, "cat new").Out(t), "error: "))
		assert.Empty(t, m.List(t))
	})
}

// What the journal knows survives a crash, a pending download included.
// Proves S-31, S-34.
func TestCrashAndRemount(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "1M")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		id := m.Create(t, s.NodeID(t, photos))
		m.Sh(t, "mv "+id+" mine").OK(t)
		m.Kill9(t)
		require.True(t, harness.Mounted(t, m.Path), "a killed process leaves its mount")

		begun := time.Now()
		m.Remount(t)
		assert.Less(t, time.Since(begun), harness.Scaled(3*time.Second), "replacing a dead mount")
		assert.Equal(t, []string{"mine"}, m.List(t))
		m.Sh(t, "unzip -qt mine/archive.zip").OK(t)
	})
}
