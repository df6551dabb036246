package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// demoStays is where the demo says that it stays mounted.
var demoStays = regexp.MustCompile(`the mount stays at\r\n  (\S+)\r\n`)

// TestDemoOnTerminal: on a terminal the demo stays mounted after its steps until
// Ctrl-C, and then leaves nothing behind.
// Proves S-60.
func TestDemoOnTerminal(t *testing.T) {
	t.Parallel()
	u := harness.Ordinary(t)
	for _, name := range []string{"demo", "demo MOUNTPOINT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmp, mountpoint := harness.Dir(t, u), ""
			command := "exec " + harness.Binary() + " demo " + demoZipTime
			if name != "demo" {
				mountpoint = harness.Dir(t, u)
				command += " " + mountpoint
			}
			keys, typed, err := os.Pipe()
			require.NoError(t, err)
			defer keys.Close()
			defer typed.Close()
			p := harness.Cmd{
				User: u, Stdin: keys, Name: "script", Args: []string{"-qec", command, "/dev/null"},
				Env: []string{"TMPDIR=" + tmp, "SHELL=/bin/sh"},
			}.Start(t)
			t.Cleanup(func() { // not left behind when something below fails
				for _, m := range append(harness.MountsBelow(t, tmp), mountpoint) {
					if m != "" && harness.Mounted(t, m) {
						harness.Run(t, harness.Timeout, harness.Binary(), "unmount", "--lazy", m)
					}
				}
			})
			harness.Eventually(t, harness.Timeout, func() bool {
				return demoStays.MatchString(p.Output()) || !p.Running()
			}, "the steps do not end")
			stays := demoStays.FindStringSubmatch(p.Output())
			require.NotNil(t, stays, p.Output())
			if mountpoint != "" {
				assert.Equal(t, mountpoint, stays[1])
			}
			require.True(t, harness.Mounted(t, stays[1]), "not mounted at %s", stays[1])
			archive := harness.ShAs(t, u, `cd "`+stays[1]+`/downloads" && unzip -tq */archive.zip`)
			assert.Contains(t, archive.Out(t), "No errors detected")
			assert.True(t, p.Running(), "it has ended by itself")

			_, err = typed.WriteString("\x03")
			require.NoError(t, err)
			r := p.Wait()
			assert.Zero(t, r.Code, "%s", r)
			assert.Empty(t, harness.MountsBelow(t, tmp))
			for _, dir := range []string{tmp, mountpoint} {
				if dir == "" {
					continue
				}
				assert.False(t, harness.Mounted(t, dir))
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				assert.Empty(t, left, filepath.Base(dir))
			}
		})
	}
}
