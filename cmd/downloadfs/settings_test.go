package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tool runs a command and returns its exit code and what it wrote.
func tool(args ...string) (code int, stdout, stderr string) {
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const sampleConfig = `defaults:
  cache-size: 1G
  wait: open
  prefetch: "off"
  retry-timeout: 1m
profiles:
  work:
    url: https://ecm.example.org
    mountpoint: /mnt/work
    prefetch: auto
    retry-timeout: 2s
    stall-timeout: 3s
    username: finn
    password: s3cret
`

// A flag goes before the environment, that before the profile, that before the
// defaults, and show says where each value is from.
// Proves S-96.
func TestSettingsPrecedence(t *testing.T) {
	path := writeConfig(t, sampleConfig)
	t.Setenv("DOWNLOADFS_STALL_TIMEOUT", "7s")
	t.Setenv("DOWNLOADFS_RETRY_TIMEOUT", "8s")
	code, out, stderr := tool("config", "show", "--config", path, "--origin", "--retry-timeout", "9s", "work")
	require.Zero(t, code, stderr)
	lines := map[string][]string{}
	for line := range strings.Lines(out) {
		key, rest, _ := strings.Cut(line, ":")
		lines[key] = strings.Fields(rest)
	}
	for key, want := range map[string]string{
		"retry-timeout": "9s # --retry-timeout",
		"stall-timeout": "7s # DOWNLOADFS_STALL_TIMEOUT",
		"prefetch":      "auto # " + path + ":10",
		"cache-size":    "1G # " + path + ":2",
		"wait":          "open # " + path + ":3",
		"allow-other":   `"false" # default`,
		"url":           "https://ecm.example.org # " + path + ":8",
		"mountpoint":    "/mnt/work # " + path + ":9",
		"username":      "finn # " + path + ":13",
		"password":      "'[redacted]' # " + path + ":14",
	} {
		assert.Equal(t, strings.Fields(want), lines[key], key)
	}
	assert.NotContains(t, out, "s3cret")

	_, out, _ = tool("config", "show", "--config", path)
	assert.Contains(t, out, "prefetch: \"off\"\n", "the defaults")
	assert.NotContains(t, out, "#")
}

// Proves S-96.
func TestEveryFlagHasAVariable(t *testing.T) {
	t.Setenv("DOWNLOADFS_CACHE_SIZE", "5X")
	code, _, stderr := tool("mount", "http://h.example", "/m")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "DOWNLOADFS_CACHE_SIZE: invalid value")
	t.Setenv("DOWNLOADFS_CACHE_SIZE", "")
	t.Setenv("DOWNLOADFS_LOG_LEVEL", "loud")
	code, _, stderr = tool("serve", t.TempDir())
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, `--log-level "loud"`)
}

// Proves S-97.
func TestConfigCheck(t *testing.T) {
	path := writeConfig(t, sampleConfig)
	code, out, stderr := tool("config", "check", "--config", path)
	assert.Zero(t, code, stderr)
	assert.Equal(t, path+": right; profiles: work\n", out)

	for text, want := range map[string]string{
		"profiles:\n  w:\n    cache-sise: 1\n":              ":3: unknown key cache-sise; did you mean cache-size?",
		"profiles:\n  w:\n    cache-size: 5X\n":             ":3: invalid value \"5X\" for cache-size",
		"profiles:\n  w:\n    wait: never\n":                "wait \"never\"",
		"profiles:\n  w:\n    url: http://a:s3cret@h\n":     ":3: the server URL holds a user name, a password or a ticket",
		"defaults:\n  allow-other: perhaps\n":               ":2: invalid value \"perhaps\" for allow-other",
		"profiles:\n  w:\n    url: h\n  v:\n    wait: no\n": ":3: \"h\" is not a server URL",
	} {
		code, out, stderr := tool("config", "check", "--config", writeConfig(t, text))
		assert.Equal(t, exitUsage, code, text)
		assert.Contains(t, out, want, text)
		assert.Contains(t, stderr, "problem", text)
		assert.NotContains(t, out+stderr, "s3cret", text)
	}
	many := writeConfig(t, "defaults:\n  wait: bla\n  split: no\n  log-level: foo\n  retry-timeout: -5s\n  cache-size: x\n")
	_, out, _ = tool("config", "check", "--config", many)
	for line, key := range map[string]string{"2": "wait", "3": "split", "4": "log-level", "5": "retry-timeout", "6": "cache-size"} {
		assert.Regexp(t, `(?m)^`+many+":"+line+": .*"+key, out, "%s", key)
	}
	assert.Equal(t, 5, strings.Count(out, "\n"), out)

	// What goes together may be in several sections.
	apart := writeConfig(t, "defaults:\n  client-cert: /c\nprofiles:\n  w:\n    client-key: /k\n    url: https://h\n")
	code, out, _ = tool("config", "check", "--config", apart)
	assert.Zero(t, code, out)
	t.Run("or in the environment", func(t *testing.T) {
		t.Setenv("DOWNLOADFS_CLIENT_CERT", "/c")
		code, out, _ := tool("config", "check", "--config", writeConfig(t, "profiles:\n  w:\n    client-key: /k\n    url: https://h\n"))
		assert.Zero(t, code, out)
	})
	lonely := writeConfig(t, "profiles:\n  w:\n    client-key: /k\n    url: https://h\n  v:\n    url: https://h\n")
	code, out, _ = tool("config", "check", "--config", lonely)
	assert.Equal(t, exitUsage, code)
	assert.Equal(t, "profile w: --client-key is of no use without --client-cert\n", out)

	twice := writeConfig(t, "profiles:\n  w:\n    password: s3cret\n    password-file: /p\n    url: https://h\n")
	code, out, _ = tool("config", "check", "--config", twice)
	assert.Equal(t, exitUsage, code)
	assert.Equal(t, "profile w: "+twice+":4 (password-file) and "+twice+":3 exclude each other; say in one way what to log in with\n", out)

	require.NoError(t, os.Chmod(path, 0o644))
	code, out, _ = tool("config", "check", "--config", path)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, out, "chmod 600 "+path)

	t.Setenv("DOWNLOADFS_CACHESIZE", "1G")
	code, out, _ = tool("config", "check", "--config", "/dev/null")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, out, "DOWNLOADFS_CACHESIZE: there is no such flag; did you mean DOWNLOADFS_CACHE_SIZE?")
}

// A variable that belongs to no flag is not passed over in silence.
// Proves S-97.
func TestUnknownVariable(t *testing.T) {
	t.Setenv("DOWNLOADFS_CACHESIZE", "1G")
	t.Setenv("DOWNLOADFS_CONFIG", "/dev/null")
	const want = "DOWNLOADFS_CACHESIZE: there is no such flag; did you mean DOWNLOADFS_CACHE_SIZE?"
	for _, args := range [][]string{{"mount", "https://h.example", t.TempDir()}, {"serve", filepath.Join(t.TempDir(), "none")}, {"get", "--server", "http://127.0.0.1:1", "/x"}} {
		_, _, stderr := tool(args...)
		assert.Contains(t, stderr, want, args)
	}
	_, _, stderr := tool("get", "--json", "--server", "http://127.0.0.1:1", "/x")
	assert.NotContains(t, stderr, want)
}

// The check finds in the environment what a mount would refuse, and so does a mount.
// Proves S-97.
func TestConfigCheckEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"DOWNLOADFS_CACHE_SIZE": "foo", "DOWNLOADFS_RETRY_TIMEOUT": "5", "DOWNLOADFS_STALL_TIMEOUT": "-5s",
		"DOWNLOADFS_WAIT": "bla", "DOWNLOADFS_LOG_LEVEL": "loud", "DOWNLOADFS_INTERVAL": "often",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			code, out, _ := tool("config", "check", "--config", "/dev/null")
			assert.Equal(t, exitUsage, code)
			assert.Regexp(t, "^"+name+": .*\n$", out)
			if name == "DOWNLOADFS_INTERVAL" {
				return // of status
			}
			code, _, stderr := tool("mount", "http://h.example", "/m")
			assert.Equal(t, exitUsage, code)
			assert.Contains(t, stderr, name+": ")
		})
	}
}

func TestUnknownProfile(t *testing.T) {
	path := writeConfig(t, sampleConfig)
	for name, want := range map[string]string{"wrok": "did you mean work?", "frobnicate": "there are: work"} {
		code, _, stderr := tool("mount", "--config", path, name, "/m")
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, stderr, want)
	}
	_, _, stderr := tool("mount", "--config", "/dev/null", "work", "/m")
	assert.Contains(t, stderr, "give a URL")
	_, _, stderr = tool("mount", "--config", writeConfig(t, "profiles:\n  w:\n"), "w", "/m")
	assert.Contains(t, stderr, "has no url")
}

func TestArgv(t *testing.T) {
	for text, want := range map[string]argv{
		"pass show x":             {"pass", "show", "x"},
		`sh -c 'echo "$X" | cat'`: {"sh", "-c", `echo "$X" | cat`},
	} {
		var a argv
		require.NoError(t, a.Set(text))
		assert.Equal(t, want, a)
	}
	for _, text := range []string{"", "  ", `"open`} {
		var a argv
		assert.Error(t, a.Set(text), text)
	}
}
