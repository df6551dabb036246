//go:build !linux || portable

package cache

import (
	"errors"
	"os"
)

// syncData returns when f's bytes are on the disk.
func syncData(f *os.File) error { return f.Sync() }

// punch is not done here; its callers then give the whole file up.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

const canDirect = false

func (d *disk) openDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }
