//go:build !linux || portable

package cache

import (
	"errors"
	"os"
)

// syncData blocks until f's bytes are on the disk.
func syncData(f *os.File) error { return f.Sync() }

// punch is not supported here. Its callers then give up the whole file.
func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }

// leavePageCache is not supported here.
func leavePageCache(*os.File, int64, int64) {}

const canDirect = false

func (d *disk) openDirect(string) (*os.File, error) { return nil, errors.ErrUnsupported }
