package login

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Proves S-126.
func TestPasswordCommand(t *testing.T) {
	password, err := PasswordCommand([]string{"printf", `pass word\r\nuser: finn\n`})(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "pass word", password.Reveal())

	password, err = PasswordCommand([]string{"printf", "%s", "$HOME `id` *"})(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "$HOME `id` *", password.Reveal(), "a shell saw it")

	for want, argv := range map[string][]string{
		"the vault is locked": {"sh", "-c", "echo s3cret; echo; echo the vault is locked >&2; exit 3"},
		"no password":         {"true"},
		"no such file":        {"/nonexistent/command"},
		"exit status 1":       {"false"},
	} {
		_, err := PasswordCommand(argv)(t.Context())
		require.ErrorIs(t, err, download.ErrUnauthorized)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "s3cret")
	}

	// The command's input is empty and its output is bounded. Processes that it leaves
	// behind are not waited for.
	_, err = PasswordCommand([]string{"sh", "-c", "cat; head -c 1000000 /dev/zero | tr '\\0' x"})(t.Context())
	require.NoError(t, err)
	start := time.Now()
	password, err = PasswordCommand([]string{"sh", "-c", "echo x; sleep 20 &"})(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "x", password.Reveal())
	assert.Less(t, time.Since(start), 10*time.Second)
}

func TestParseToken(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		out, value string
		expiry     time.Time
		ok         bool
	}{
		{"abc\n", "abc", time.Time{}, true},
		{`{"access_token":"abc","expires_in":60,"token_type":"Bearer"}`, "abc", now.Add(time.Minute), true},
		{`{"accessToken":"abc","expiresOn":"2026-01-01 00:00:00.000000"}`, "abc", time.Time{}, true},
		{"e30.eyJleHAiOjE4MDAwMDAwMDB9.x", "e30.eyJleHAiOjE4MDAwMDAwMDB9.x", time.Unix(1_800_000_000, 0), true},
		{"", "", time.Time{}, false},
		{"two words", "", time.Time{}, false},
		{"a\nb", "", time.Time{}, false},
		{"{}", "", time.Time{}, false},
		{`{"access_token":1}`, "", time.Time{}, false},
	} {
		token, ok := parseToken(c.out, now)
		assert.Equal(t, c.ok, ok, c.out)
		assert.Equal(t, c.value, token.Value.Reveal(), c.out)
		assert.True(t, c.expiry.Equal(token.Expiry), "%s: %v", c.out, token.Expiry)
	}
}

// Proves S-64, S-109.
func TestFiles(t *testing.T) {
	f := Files{filepath.Join(t.TempDir(), "logins")}
	_, err := f.Get("a")
	require.ErrorIs(t, err, ErrNone)
	require.ErrorIs(t, f.Delete("a"), ErrNone)
	e := Entry{Kind: KindPassword, Username: "finn", Secret: "s3cret"}
	require.NoError(t, f.Set("a", e))
	got, err := f.Get("a")
	require.NoError(t, err)
	assert.Equal(t, e, got)
	for path, mode := range map[string]os.FileMode{f.Dir: 0o700, f.path("a"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), path)
	}
	_, where, err := Find([]Store{Files{t.TempDir()}, f}, "a")
	require.NoError(t, err)
	assert.Equal(t, Store(f), where)

	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(f.path("a"), 12345, 12345))
		_, err = f.Get("a")
		require.ErrorContains(t, err, "belongs to another user")
		require.NoError(t, os.Chown(f.path("a"), 0, 0))
	}
	require.NoError(t, os.Chmod(f.path("a"), 0o644))
	_, err = f.Get("a")
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.NoError(t, f.Delete("a"))
	_, _, err = Find([]Store{f}, "a")
	require.ErrorIs(t, err, ErrNone)
	entries, err := os.ReadDir(f.Dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
