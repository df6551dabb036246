package main

import (
	"bytes"
	"os/user"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Proves S-155.
func TestMountHelper(t *testing.T) {
	for args, want := range map[string]helperCall{
		"work /mnt":  {spec: "work", dir: "/mnt"},
		"/work /mnt": {spec: "work", dir: "/mnt"},
		"https://h /mnt -o rw,_netdev,nofail,x-systemd.automount,cache-size=20G,allow_other": {spec: "https://h", dir: "/mnt", flags: []string{"--cache-size=20G", "--allow-other=true"}},
		"https://h /mnt -sfnv -N 7 -t fuse.downloadfs -orw,bogus":                            {spec: "https://h", dir: "/mnt", sloppy: true, fake: true},
		"-o setuid=finn,wait=open,daemon https://h /mnt":                                     {spec: "https://h", dir: "/mnt", user: "finn", flags: []string{"--wait=open"}},
		`h: /mnt -o password-command="pass show a,b",state_dir=/a\,b`:                        {spec: "h:", dir: "/mnt", flags: []string{"--password-command=pass show a,b", "--state-dir=/a,b"}},
	} {
		words := strings.Fields(args)
		if strings.Contains(args, `"`) {
			words = []string{"h:", "/mnt", "-o", `password-command="pass show a,b",state_dir=/a\,b`}
		}
		got, err := parseHelper(words)
		require.NoError(t, err, args)
		assert.Equal(t, want, got, args)
	}
	for args, says := range map[string]string{
		"https://h":                       "say what to mount and where",
		"a b c":                           "say what to mount and where",
		"https://h /mnt -o":               "-o needs a value",
		"https://h /mnt -o ro":            "ro is not supported",
		"https://h /mnt -r":               "ro is not supported",
		"https://h /mnt -o cache-sise=1G": "did you mean cache-size?",
		"https://h /mnt -o cache-size=5X": "mount option cache-size",
		"https://h /mnt -o cache-size":    "needs a value",
		"https://h /mnt -o daemon=false":  "it is always in the background; leave the option out",
		"https://h /mnt -o wait-x=1":      "unknown mount option wait-x",
		"https://h /mnt -o allow_other=5": "the mount option allow_other: invalid value \"5\": write true or false",
		`https://h /mnt -o a="b`:          "not closed",
		"https://h /mnt -z":               "unknown flag -z",
	} {
		_, err := parseHelper(strings.Fields(args))
		require.ErrorContains(t, err, says, args)
		assert.Equal(t, exitUsage, exitCode(err))
	}
	for arg, says := range map[string]string{"--help": "Usage: mount.downloadfs ", "--version": versionLine()} {
		var out, errors bytes.Buffer
		assert.Zero(t, runMountHelper([]string{arg}, &out, &errors), arg)
		assert.Contains(t, out.String(), says)
		assert.Empty(t, errors.String(), arg)
	}
	for name, want := range map[string]bool{"/sbin/mount.downloadfs": true, "mount.fuse.downloadfs": true, "downloadfs": false, "mount.nfs": false} {
		assert.Equal(t, want, isMountHelper(name), name)
	}
}

// Where fstab lets a user mount, the files are in the user's home directory, although
// mount(8) does not hand it on.
// Proves S-155.
func TestMountHelperHome(t *testing.T) {
	daemon, err := user.LookupId("1")
	require.NoError(t, err)
	t.Setenv("HOME", "")
	assert.Equal(t, daemon.HomeDir, helperHome(1))
	assert.Empty(t, helperHome(0), "the system's mounts")
	t.Setenv("HOME", "/root")
	assert.Equal(t, "/root", helperHome(0))
}

// Whatever words options are put together of, quoted or escaped, splitting gives
// them back.
// Proves S-155.
func FuzzSplitOptions(f *testing.F) {
	f.Add("cache-size=20G", `a,b"c\d`, "x-y=z")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var want []string
		var text []string
		for i, word := range []string{a, b, c} {
			escaped := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `"`, `\"`).Replace(word)
			if i == 1 { // the other way
				escaped = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
			}
			text = append(text, escaped)
			if word != "" {
				want = append(want, word)
			}
		}
		got, err := splitOptions(strings.Join(text, ","))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		_, _ = splitOptions(a + b + c) // never a panic
		_, _ = parseHelper([]string{a, b, "-o", c})
	})
}
