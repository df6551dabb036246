package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var testKeys = []Key{
	{Name: "url"}, {Name: "mountpoint", Path: true}, {Name: "cache-size"}, {Name: "cache-dir", Path: true},
	{Name: "password", Secret: true}, {Name: "password-command", List: true}, {Name: "allow-other"},
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func read(path string) (*File, error) { return Read(path, "/home/finn", os.Getuid(), testKeys) }

func TestRead(t *testing.T) {
	path := write(t, `# a comment
defaults:
  cache-size: 20G
profiles:
  work:
    url: https://ecm.example.org
    mountpoint: ~/alfresco
    password-command: [pass, show, "two words"]
    allow-other: true
  empty:
`, 0o644)
	f, err := read(path)
	require.NoError(t, err)
	assert.Equal(t, Section{"cache-size": {Words: []string{"20G"}, Origin: path + ":3"}}, f.Defaults)
	assert.Equal(t, Section{
		"url":              {Words: []string{"https://ecm.example.org"}, Origin: path + ":6"},
		"mountpoint":       {Words: []string{"/home/finn/alfresco"}, Origin: path + ":7"},
		"password-command": {Words: []string{"pass", "show", "two words"}, List: true, Origin: path + ":8"},
		"allow-other":      {Words: []string{"true"}, Origin: path + ":9"},
	}, f.Profiles["work"])
	assert.Contains(t, f.Profiles, "empty")
}

func TestReadNothing(t *testing.T) {
	f, err := read(filepath.Join(t.TempDir(), "missing"))
	require.NoError(t, err)
	assert.Empty(t, f.Profiles)
	for _, text := range []string{"", "# nothing\n", "profiles:\n", "{}"} {
		_, err = read(write(t, text, 0o600))
		assert.NoError(t, err, "%q", text)
	}
	_, err = read("/dev/null/.config/downloadfs/config.yaml")
	require.NoError(t, err, "the home of somebody without one")
	f, err = read("/dev/null")
	require.NoError(t, err)
	assert.Empty(t, f.Profiles)
}

// Each mistake is reported with its line, and no value is.
// Proves S-97.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"profiles:\n  work:\n    cache-sise: 1\n", ":3: unknown key cache-sise; did you mean cache-size?"},
		{"profiles:\n  work:\n    cache_size: 1\n", "did you mean cache-size?"},
		{"profile:\n  work:\n", ":1: unknown key profile; did you mean profiles?"},
		{"profiles:\n  work:\n    frobnicate: s3cret\n", ":3: unknown key frobnicate"},
		{"defaults:\n  cache-size: 1\n  cache-size: s3cret\n", ":3: cache-size is given twice"},
		{"defaults:\n  url: http://s3cret\n", "url belongs to a profile"},
		{"profiles:\n  - work\n", ":2: profiles must have"},
		{"profiles:\n  work: s3cret\n", "profile work must have"},
		{"profiles:\n  work:\n    cache-size: [s3cret]\n", ":3: cache-size must have one value"},
		{"profiles:\n  work:\n    cache-size:\n", ":3: cache-size must have one value"},
		{"profiles:\n  work:\n    password-command: []\n", ":3: password-command must have one value"},
		{"profiles:\n  work:\n    password-command: [[s3cret]]\n", "password-command must be a list of words"},
		{"profiles:\n  work:\n    cache-dir: s3cret/x\n", ":3: cache-dir must be an absolute path"},
		{"profiles:\n  http://s3cret:\n    url: x\n", "a profile's name"},
		{"profiles:\n  -w:\n    url: x\n", "a profile's name"},
		{"{", "this is not YAML"},
		{"a: b\n c: s3cret", ":2: this is not YAML"},
		{"profiles:\n  w:\n    password: *s3cret\n", "unknown anchor"},
		{"s3cret", "must have lines of 'key: value'"},
	} {
		_, err := read(write(t, c.text, 0o600))
		assert.ErrorContains(t, err, c.want, "%q", c.text)
		assert.NotContains(t, err.Error(), "s3cret", "%q", c.text)
	}
	_, err := read(write(t, "x: 1\ny: 2\n", 0o600))
	assert.ErrorContains(t, err, ":1: ")
	assert.ErrorContains(t, err, ":2: ")
}

// A file that others can change is refused. So is a file with a secret that others can
// read.
// Proves S-98.
func TestExposedFile(t *testing.T) {
	secret, plain := "profiles:\n  w:\n    password: s3cret\n", "profiles:\n  w:\n    cache-size: 1G\n"
	for _, c := range []struct {
		text string
		mode os.FileMode
		ok   bool
	}{
		{secret, 0o600, true}, {secret, 0o640, true}, {secret, 0o644, false}, {secret, 0o604, false},
		{plain, 0o644, true}, {plain, 0o664, false}, {plain, 0o666, false}, {plain, 0o602, false},
	} {
		_, err := read(write(t, c.text, c.mode))
		if c.ok {
			assert.NoError(t, err, "%o", c.mode)
			continue
		}
		assert.ErrorIs(t, err, ErrExposed, "%o", c.mode)
		assert.ErrorContains(t, err, "chmod", "%o", c.mode)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	path := write(t, plain, 0o644)
	_, err := Read(path, "", os.Getuid()+1, testKeys)
	if os.Getuid() == 0 {
		require.NoError(t, err, "root's file is for everybody")
		require.NoError(t, os.Chown(path, 12345, 12345))
		_, err = Read(path, "", os.Getuid()+1, testKeys)
	}
	assert.ErrorIs(t, err, ErrExposed)
}

func TestStack(t *testing.T) {
	set := func(text string) Setting { return Setting{Words: []string{text}} }
	mine := &File{Defaults: Section{"cache-size": set("1G")}, Profiles: map[string]Section{"work": {"url": set("mine")}}}
	system := &File{
		Defaults: Section{"cache-size": set("2G"), "cache-dir": set("/c")},
		Profiles: map[string]Section{"work": {"url": set("system"), "allow-other": set("true")}, "other": {}},
	}
	s := Stack{mine, system}
	got, ok := s.Profile("work")
	assert.True(t, ok)
	assert.Equal(t, Section{"url": set("mine"), "allow-other": set("true"), "cache-size": set("1G"), "cache-dir": set("/c")}, got)
	mine.Defaults["password"], system.Defaults["password-command"] = set("1"), set("2")
	got, _ = s.Profile("", "password", "password-command")
	assert.Contains(t, got, "password")
	assert.NotContains(t, got, "password-command", "another way that the first file has")
	delete(mine.Defaults, "password")
	delete(system.Defaults, "password-command")
	_, ok = s.Profile("nobody")
	assert.False(t, ok)
	got, ok = s.Profile("")
	assert.True(t, ok)
	assert.Equal(t, Section{"cache-size": set("1G"), "cache-dir": set("/c")}, got)
	assert.Equal(t, []string{"other", "work"}, s.Names())
}

func TestClosest(t *testing.T) {
	names := []string{"cache-size", "cache-dir", "url", "wait", "username"}
	for word, want := range map[string]string{
		"cache-sise": "cache-size", "cachesize": "cache-size", "cahce-dir": "cache-dir", "ulr": "url", "wiat": "wait", "Wait": "wait",
		"user": "username", "us": "", "frobnicate": "", "x": "", "": "",
	} {
		assert.Equal(t, want, Closest(word, names), "%q", word)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("defaults:\n  cache-size: 20G\nprofiles:\n  a: &x\n    url: b\n  c: *x\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "c")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := read(path)
		if file == nil || errors.Is(err, ErrExposed) {
			t.Fatal(err)
		}
	})
}
