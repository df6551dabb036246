//go:build !linux

package integration

import "os"

// statx returns a file's size.
func statx(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
