package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// accountKey returns the name of the directories for the state and the cache of one
// user on one server. The name is readable, and its hash makes it unique.
func accountKey(server *url.URL, username string) string {
	host, port := strings.ToLower(server.Hostname()), server.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[server.Scheme]
	}
	// The server's URL may include the web application or the API root.
	path, _, _ := strings.Cut(server.Path+"/", "/api/-default-/")
	path = strings.TrimSuffix(strings.TrimRight(path, "/"), "/alfresco")
	sum := sha256.Sum256([]byte(strings.Join([]string{server.Scheme, host, port, path, username}, "\x00")))
	return fmt.Sprintf("%s-%s-%s-%s", safeName(host), port, safeName(username), hex.EncodeToString(sum[:4]))
}

// accountMark returns what .stats tells of one user on one server: mounts of the same
// account have the same mark, and it does not name the account.
func accountMark(server *url.URL, username string) string {
	sum := sha256.Sum256([]byte("mark of " + accountKey(server, username)))
	return hex.EncodeToString(sum[:8])
}

// keyName returns the user name in an account's key, without what a file name cannot hold.
func keyName(key string) string {
	parts := strings.Split(key, "-") // no part has a hyphen
	return parts[max(0, len(parts)-2)]
}

// safeName returns s without what could do harm in a file name.
func safeName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_':
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s[:min(len(s), 40)], ".")
}

// defaultDir returns the directory for downloadfs's state or cache: below $variable,
// or below fallback in the home directory. It returns "" when there is neither.
func defaultDir(variable, fallback string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "downloadfs")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, fallback, "downloadfs")
}

func defaultStateDir() string { return defaultDir("XDG_STATE_HOME", ".local/state") }
func defaultCacheDir() string { return defaultDir("XDG_CACHE_HOME", ".cache") }

// errForeignDir means that another user could read, or has prepared, what is kept in
// a directory.
var errForeignDir = errors.New("belongs to another user")

// accountDir creates the directory key in dir, and dir itself, for this user only.
// Users may share dir, such as /var/cache, so an existing dir stays as it is. But key
// must be this user's own directory: anybody else who made it could read what is kept
// there, or forge it.
func accountDir(flag, dir, key string) (string, error) {
	if dir == "" {
		return "", exitf(exitUsage, "no home directory to keep files in; give --%s", flag)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot create --%s: %w", flag, err)
	}
	path := filepath.Join(dir, key)
	if err := ownDir(path); err != nil {
		return "", fmt.Errorf("cannot use --%s: %w", flag, err)
	}
	return path, nil
}

// isMine reports whether a file is this user's.
func isMine(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

// ownDir creates a directory for this user only, or makes one that is there private. It
// refuses one that another user has made.
func ownDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory: %w", path, errForeignDir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: %w; choose another directory", path, errForeignDir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(path, 0o700)
	}
	return nil
}
