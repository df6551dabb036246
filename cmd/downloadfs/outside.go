package main

import (
	"errors"
	"path/filepath"
	"strings"
)

// checkOutside refuses places that are in the mountpoint. The mount would hide them, and
// this process would wait for itself there.
func (o *mountOptions) checkOutside(mountpoint string) error {
	if strings.HasPrefix(mountpoint, "/dev/fd/") {
		return nil // where that is mounted is not known
	}
	mountpoint, err := resolveMountpoint(mountpoint)
	if err != nil {
		return nil // mounting says what is wrong with it
	}
	places := []struct{ flag, path string }{
		{"state-dir", o.stateDir}, {"cache-dir", o.cacheDir}, {"log-file", o.logFile},
	}
	if path, ok := strings.CutPrefix(o.metrics, "unix:"); ok {
		places = append(places, struct{ flag, path string }{"metrics", path})
	}
	if o.share.url != "" {
		if u, err := parseShareURL(o.share.url); err == nil && u.Scheme == "file" {
			places = append(places, struct{ flag, path string }{"share", u.Path})
		}
	}
	var errs []error
	for _, p := range places {
		if p.path != "" && isBelow(withoutLinks(p.path), mountpoint) {
			errs = append(errs, badValue(p.flag, "%s is in the mountpoint, and the mount would hide it; choose another place", p.path))
		}
	}
	return errors.Join(errs...)
}

// withoutLinks resolves the symbolic links in as much of an absolute path as is there.
func withoutLinks(path string) string {
	path, rest := filepath.Clean(path), ""
	for {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(resolved, rest)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return filepath.Join(path, rest)
		}
		path, rest = parent, filepath.Join(filepath.Base(path), rest)
	}
}

// isBelow reports whether path is dir or in it.
func isBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
