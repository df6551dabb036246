package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// TestUnmountNamesHolders: unmount says which processes keep the mount busy, and
// how, and harms none of them.
// Proves S-56.
func TestUnmountNamesHolders(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		server := slow(t)
		web := faults.NewServer(t, server.URL)
		m := harness.StartMount(t, server, harness.MountOptions{User: u, URL: web.URL()})
		done := submit(t, m, "Sites/press/documentLibrary/report.txt")
		hold := func(script string) *harness.Process {
			return harness.Cmd{User: u, Name: "sh", Args: []string{"-c", script, "sh", m.Downloads}}.Start(t)
		}
		inside := hold(`cd "$1/` + done + `" && exec sleep 60`)
		reading := hold(`exec 3< "$1/` + done + `/archive.zip" && exec sleep 60`)
		writing := hold(`exec 3> "$1/new" && exec sleep 60`)
		mapping := hold(`exec python3 -c '
import mmap, sys, time
with open(sys.argv[1] + "/` + done + `/archive.zip", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
print(len(m), flush=True)
time.sleep(60)' "$1"`)
		for _, p := range []*harness.Process{inside, reading, writing} {
			p.Becomes(t, "sleep")
		}
		harness.Eventually(t, harness.Timeout, func() bool { return mapping.Output() != "" || !mapping.Running() }, "nothing is mapped")
		zipping := web.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("IN_PROGRESS")})
		pending := submit(t, m, "Sites/press/documentLibrary/photos")
		waiting := harness.Cmd{User: u, Name: "cat", Args: []string{filepath.Join(m.Downloads, pending, "archive.zip")}}.Start(t)
		waiting.Blocked(t)

		unmount := harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"unmount", m.Path}}
		r := unmount.Run(t)
		assert.Equal(t, 1, r.Code, "%s", r)
		for p, how := range map[*harness.Process]string{
			inside:  "sleep (pid %d: working directory)",
			reading: "sleep (pid %d: downloads/" + done + "/archive.zip open)",
			writing: "sleep (pid %d: downloads/new open)",
			mapping: "python3 (pid %d: downloads/" + done + "/archive.zip mapped, downloads/" + done + "/archive.zip open)",
		} {
			assert.Contains(t, r.Stderr, fmt.Sprintf(how, p.Pid()))
			assert.True(t, p.Running())
		}
		assert.True(t, waiting.Running())
		t.Run("who waits", func(t *testing.T) {
			harness.NotOnUML(t, "its /proc tells no arguments of system calls")
			assert.Contains(t, r.Stderr, fmt.Sprintf("cat (pid %d: waiting for downloads/%s/archive.zip)", waiting.Pid(), pending))
		})
		assert.Equal(t, archiveMD5(t, server, done), m.Sh(t, "md5sum < "+done+"/archive.zip").Out(t)[:32])

		for _, p := range []*harness.Process{inside, reading, writing, mapping} {
			p.Signal(t, 9)
			p.Wait()
		}
		zipping.Remove()
		waiting.Wait().OK(t)
		unmount.Run(t).OK(t)
	})
}
