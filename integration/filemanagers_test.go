package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

// fileManagers are those that scripts/setup installs, the small ones. More of them
// can be named in the environment, by their commands separated by commas.
func fileManagers() []string {
	commands := []string{"pcmanfm", "thunar"}
	if more := os.Getenv("DOWNLOADFS_FILE_MANAGERS"); more != "" {
		commands = append(commands, strings.Split(more, ",")...)
	}
	return commands
}

// lookingLong is longer than a listing counts.
const lookingLong = 2300 * time.Millisecond

// TestFileManagers: a file manager that shows a pending download never hangs, though
// it looks again at what it listed long ago: when it refreshes, comes back,
// selects, or shows properties.
// Proves S-190.
func TestFileManagers(t *testing.T) {
	t.Parallel()
	s := neverDone(t)
	m := harness.StartMount(t, s, harness.MountOptions{})
	id := submit(t, m, "scans")
	for _, command := range fileManagers() {
		name, _, _ := strings.Cut(command, " ")
		t.Run(name, func(t *testing.T) {
			for _, tool := range []string{name, "Xvfb", "xdotool", "dbus-run-session"} {
				harness.Tool(t, tool)
			}
			dir := harness.Dir(t, harness.User{})
			desktop := harness.Cmd{Dir: dir, Name: "sh", Timeout: 2 * harness.Timeout,
				Env: []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "GIO_USE_VFS=local", "GIO_USE_VOLUME_MONITOR=unix"},
				Args: []string{"-c", `Xvfb -displayfd 3 -screen 0 1000x700x24 3> display 2> xvfb.log &
					until [ -s display ]; do sleep 0.1; done
					export DISPLAY=:$(cat display)
					exec dbus-run-session -- ` + command + ` "$1"`, "sh", filepath.Join(m.Downloads, id)}}.Start(t)
			listed := `"op":"readdir`
			before := strings.Count(m.Log.Text(), listed)
			harness.Eventually(t, harness.Timeout, func() bool {
				return strings.Count(m.Log.Text(), listed) > before
			}, "%s does not list the directory", name)
			display, err := os.ReadFile(filepath.Join(dir, "display"))
			assert.NoError(t, err)
			press := func(keys ...string) {
				harness.Cmd{Name: "xdotool", Args: append([]string{"key", "--clearmodifiers"}, keys...),
					Env: []string{"DISPLAY=:" + strings.TrimSpace(string(display))}}.Run(t).OK(t)
			}
			for _, step := range []struct {
				name string
				keys []string
			}{
				{"opening", nil},
				{"refreshing", []string{"F5"}},
				{"going up", []string{"alt+Up"}},
				{"coming back", []string{"alt+Left"}},
				{"selecting all", []string{"ctrl+a"}},
				{"showing properties", []string{"alt+Return"}},
			} {
				if step.keys != nil {
					press(step.keys...)
				}
				time.Sleep(lookingLong)
				assert.Empty(t, desktop.Hangs(), "%s hangs while %s", name, step.name)
			}
		})
	}
	m.Sh(t, "rm -r "+id).OK(t)
}
