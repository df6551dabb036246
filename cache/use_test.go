package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// diskUse returns how much room a directory takes, as du does. It fails with
// errMoved when a file came or went while it looked: what was removed after it
// had been counted does not take room together with what came after.
func diskUse(dir string) (int64, error) {
	var sum int64
	var before []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		sum += fi.Sys().(*syscall.Stat_t).Blocks * 512
		before = append(before, path)
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return 0, errMoved
	}
	if err != nil {
		return 0, err
	}
	var after []string
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		after = append(after, path)
		return err
	})
	if errors.Is(err, os.ErrNotExist) || err == nil && !slices.Equal(before, after) {
		return 0, errMoved
	}
	return sum, err
}

// errMoved: what was counted was not there at one time.
var errMoved = errors.New("files came or went")

// mountUse returns how much room is taken on the file system at dir. Unlike
// diskUse it counts at one moment, and counts files that are removed but open.
func mountUse(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize), nil
}

// watchLimit looks at use, over and over, until the function that it returns is
// called, which fails the test if use was ever above limit. That function returns
// how often it could be looked at.
func watchLimit(t *testing.T, limit int64, use func() (int64, error)) (stop func() int) {
	t.Helper()
	done, looks := make(chan struct{}), 0
	watched := make(chan error, 1)
	go func() {
		defer close(watched)
		for last := false; ; {
			n, err := use()
			switch {
			case err == nil && n > limit:
				watched <- fmt.Errorf("%d bytes on disk, limit %d", n, limit)
				return
			case err == nil:
				looks++
			case !errors.Is(err, errMoved):
				watched <- err
				return
			}
			if last {
				return
			}
			select {
			case <-done:
				last = true
			case <-time.After(200 * time.Microsecond):
			}
		}
	}()
	return func() int {
		t.Helper()
		close(done)
		if err := <-watched; err != nil {
			t.Error(err)
		}
		return looks
	}
}
