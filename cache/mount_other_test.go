//go:build !linux

package cache

import (
	"errors"
	"os"
)

func mountFS(string, string) error { return errors.ErrUnsupported }

func forgetPages(*os.File) error { return errors.ErrUnsupported }

func residentBytes(*os.File, int64) (int64, error) { return 0, errors.ErrUnsupported }
