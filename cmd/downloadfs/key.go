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

// accountKey names the directory that holds the state, and the one that holds
// the cache, of one user on one server: readable, and unique by its hash.
func accountKey(server *url.URL, username string) string {
	host, port := strings.ToLower(server.Hostname()), server.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[server.Scheme]
	}
	// A server's URL may be given with the web application or the API root.
	path, _, _ := strings.Cut(server.Path+"/", "/api/-default-/")
	path = strings.TrimSuffix(strings.TrimRight(path, "/"), "/alfresco")
	sum := sha256.Sum256([]byte(strings.Join([]string{server.Scheme, host, port, path, username}, "\x00")))
	return fmt.Sprintf("%s-%s-%s-%s", safeName(host), port, safeName(username), hex.EncodeToString(sum[:4]))
}

// safeName keeps of s what cannot do harm in a file name.
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

// defaultDir is where downloadfs keeps its state or cache: below $variable, or
// below fallback in the home directory. Empty when there is neither.
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

// errForeignDir: somebody else could read, or has prepared, what is kept there.
var errForeignDir = errors.New("belongs to another user")

// accountDir creates the directory key in dir, and dir with it, for this user
// only. dir itself may be one that users share, such as /var/cache: it is left
// as it is. But key in it must be this user's own directory: who else made it
// could read what is kept there, or forge it.
func accountDir(flag, dir, key string) (string, error) {
	if dir == "" {
		return "", exitf(exitUsage, "no home directory to keep files in; give --%s", flag)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot create --%s: %w", flag, err)
	}
	path := filepath.Join(dir, key)
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return "", fmt.Errorf("cannot use --%s: %w", flag, err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("cannot use --%s: %w", flag, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("cannot use --%s: %s is not a directory: %w", flag, path, errForeignDir)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return "", fmt.Errorf("cannot use --%s: %s: %w; choose another directory", flag, path, errForeignDir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o700); err != nil {
			return "", fmt.Errorf("cannot make --%s private: %w", flag, err)
		}
	}
	return path, nil
}
