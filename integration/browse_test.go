package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// browseLimit is how long browsing may take while an archive is pending.
var browseLimit = harness.Scaled(200 * time.Millisecond)

// browsers are ways of browsing that must not wait for an archive. $d is
// the download's directory, $m the mount; what each prints matches want.
var browsers = []struct{ name, need, script, want string }{
	{"ls", "", `ls "$d"`, `archive\.zip\ncontents\nnodes\nstatus\nstatus\.json\n`},
	{"ls -l", "", `ls -l "$d"`, ` [1-9][0-9]* .* archive\.zip\n`},
	{"ls -la", "", `ls -la "$d/"`, ` [1-9][0-9]* .* archive\.zip\n`},
	{"ls -lR of the mount", "ls", `ls -lR --color=always "$m"`, `archive\.zip`},
	{"find -ls", "", `find "$m" -ls`, ` [1-9][0-9]* .*archive\.zip\n`},
	{"find -size", "find", `find "$d" -type f -size +0 -newermt 2020-01-01`, `archive\.zip\n`},
	{"du", "", `du "$d"`, `\d+\s`},
	{"du -ab", "du", `du -ab "$m"`, `[1-9][0-9]*\t.*archive\.zip\n`},
	{"stat", "", `stat "$d/archive.zip"`, `Size: [1-9][0-9]*\s`},
	{"stat of the directory", "stat", `stat "$d"`, `directory`},
	{"gio info", "", `gio info "$d/archive.zip"`, `standard::size: [1-9]`},
	{"gio list", "", `gio list -l "$d"`, `archive\.zip\t[1-9]`},
	{"gio list of downloads", "gio", `gio list -l "$m/downloads"`, `new\t`},
	{"python scandir", "python3", `python3 -c 'import os, sys
for e in os.scandir(sys.argv[1]): print(e.name, e.stat().st_size)' "$d"`, `archive\.zip [1-9]`},
	{"rsync --list-only", "rsync", `rsync --list-only "$d/"`, ` [1-9][0-9,]* .* archive\.zip\n`},
	{"busybox ls -l", "busybox", `busybox ls -l "$d"`, ` [1-9][0-9]* .* archive\.zip\n`},
	{"test -r", "sh", `cd "$d" && test -d . && echo *`, `archive\.zip contents nodes status`},
	{"cat status", "cat", `cat "$d/status"`, `status: (PENDING|IN_PROGRESS)\n`},
	{"cat nodes", "cat", `cat "$d/nodes"`, `^[0-9a-f-]{36}\n$`},
	{"df", "", `df "$d"`, `%`},
}

// TestBrowsing: looking around never waits for a pending archive.
// Proves S-16.
func TestBrowsing(t *testing.T) {
	asUsers(t, func(t *testing.T, u harness.User) { // it measures how long looking takes
		s := harness.StartServer(t, harness.Samples(t), "--archive-rate", "5000")
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		id := m.Create(t, s.NodeID(t, photos))
		for _, l := range browsers {
			t.Run(l.name, func(t *testing.T) {
				need := l.need
				if need == "" {
					need, _, _ = strings.Cut(l.name, " ")
				}
				harness.Tool(t, need)
				if l.name == "stat" || l.name == "gio info" {
					harness.Lost(t, "a stat waits for an archive whose directory its process has not listed")
				}
				took := time.Hour
				for range 5 {
					r := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", `m=$1 d=$2; ` + l.script,
						"sh", m.Path, filepath.Join(m.Downloads, id)}}.Run(t).OK(t)
					assert.Regexp(t, l.want, r.Stdout)
					took = min(took, r.Duration)
				}
				// None has waited: nothing is done yet. The quickest says how long
				// it takes, on a machine that has other things to do too.
				require.Contains(t, []string{"PENDING", "IN_PROGRESS"}, s.Status(t, id))
				assert.LessOrEqual(t, took, browseLimit)
			})
		}
		m.Sh(t, fmt.Sprintf("rm -r %s", id)).OK(t)
	})
}
