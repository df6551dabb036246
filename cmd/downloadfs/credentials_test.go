package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadCredentials(t *testing.T) {
	t.Setenv(envUsername, "finn")
	t.Setenv(envPassword, "s3cret")
	c, err := readCredentials("")
	require.NoError(t, err)
	assert.Equal(t, "finn", c.username)
	assert.Equal(t, "s3cret", c.password.Reveal())
	_, there := os.LookupEnv(envPassword)
	assert.False(t, there, "a child process would inherit the password")

	_, err = readCredentials("")
	assert.Equal(t, exitUsage, exitCode(err), "no password")
	t.Setenv(envUsername, "")
	t.Setenv(envPassword, "s3cret")
	_, err = readCredentials("")
	assert.Equal(t, exitUsage, exitCode(err), "no user name")
	t.Setenv(envPassword, "TICKET_0123")
	c, err = readCredentials("")
	require.NoError(t, err, "a ticket names its user")
	assert.Empty(t, c.username)
}

func TestPasswordFile(t *testing.T) {
	t.Setenv(envUsername, "finn")
	t.Setenv(envPassword, "from the environment")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("pass word \r\nsecond line\n"), 0o600))
	c, err := readCredentials(file)
	require.NoError(t, err)
	assert.Equal(t, "pass word ", c.password.Reveal(), "the file goes before the environment")
	_, there := os.LookupEnv(envPassword)
	assert.False(t, there)

	for _, mode := range []os.FileMode{0o644, 0o604, 0o620, 0o602} {
		require.NoError(t, os.Chmod(file, mode))
		_, err := readCredentials(file)
		assert.ErrorContains(t, err, "chmod 600", "%o", mode)
	}
	require.NoError(t, os.Chmod(file, 0o640))
	_, err = readCredentials(file)
	assert.NoError(t, err, "a group that was let in on purpose may read")

	_, err = readCredentials(filepath.Join(t.TempDir(), "missing"))
	assert.Equal(t, exitUsage, exitCode(err))
	_, err = readCredentials(t.TempDir())
	assert.Equal(t, exitUsage, exitCode(err))
}

// Notepad and PowerShell put a mark before the text, or write UTF-16.
func TestPasswordFileWithByteOrderMark(t *testing.T) {
	t.Setenv(envUsername, "finn")
	for _, text := range []string{
		"pässword\r\n", "\xef\xbb\xbfpässword\r\n",
		"\xff\xfep\x00\xe4\x00s\x00s\x00w\x00o\x00r\x00d\x00\r\x00\n\x00", "\xfe\xff\x00p\x00\xe4\x00s\x00s\x00w\x00o\x00r\x00d\x00\n",
	} {
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		c, err := readCredentials(file)
		require.NoError(t, err)
		assert.Equal(t, "pässword", c.password.Reveal(), "%q", text)
	}
}

func TestServeUsers(t *testing.T) {
	t.Setenv(envServeUsers, "b:2 c:3:4")
	users, err := serveUsers([]string{"a:1"})
	require.NoError(t, err)
	require.Len(t, users, 3)
	assert.Equal(t, "c", users[2].Name)
	assert.Equal(t, "3:4", users[2].Password)
	_, there := os.LookupEnv(envServeUsers)
	assert.False(t, there)
	_, err = serveUsers([]string{"a:1", "secret"})
	assert.Equal(t, exitUsage, exitCode(err))
	assert.NotContains(t, err.Error(), "secret")
}
