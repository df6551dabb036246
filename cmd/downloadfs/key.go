package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

// privateDir creates dir and what is missing above it, for this user only.
func privateDir(flag, dir string) error {
	if dir == "" {
		return exitf(exitUsage, "no home directory to keep files in; give --%s", flag)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot create --%s: %w", flag, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("cannot use --%s: %w", flag, err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make --%s private: %w", flag, err)
	}
	return nil
}
