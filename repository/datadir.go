package repository

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrDataServed means that New refuses a data directory, named or temporary, that is
// Dir or in it. A zip there would be a node that everybody can read, and the next zip
// would include it, and itself.
var ErrDataServed = errors.New("the data directory is in the folder that is served")

// openData opens the data directory, or creates a temporary one if none is named.
func (s *Repository) openData() (err error) {
	if s.cfg.DataDir == "" {
		if err := refuseServed(s.cfg.Dir, os.TempDir()); err != nil {
			return err
		}
		s.tempData = true
		if s.dataDir, err = os.MkdirTemp("", "downloadfs-repository-"); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
		return nil
	}
	if s.dataDir, err = filepath.Abs(s.cfg.DataDir); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if err := refuseServed(s.cfg.Dir, s.dataDir); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dataDir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

// refuseServed returns ErrDataServed if data is the served folder or in it. data need
// not exist yet: the parts created later have no links in them.
func refuseServed(served, data string) error {
	at, err := realPath(data)
	for up := data; errors.Is(err, iofs.ErrNotExist) && filepath.Dir(up) != up; {
		up = filepath.Dir(up)
		at, err = realPath(up)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if served, err = realPath(served); err != nil {
		return fmt.Errorf("serve folder: %w", err)
	}
	rel, err := filepath.Rel(served, at)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Errorf("%w: everybody could read other users' downloads in %s", ErrDataServed, data)
	}
	return nil
}

// realPath returns the absolute path, without symbolic links.
func realPath(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
