package fs

import (
	"errors"
	"sync"

	"downloadfs/download"
)

// versions counts how often the archive of a download turned out to be another one than
// was read so far (download.ErrChanged). What the kernel and contents keep of an earlier
// version must not be mixed with what comes later. It is safe for concurrent use.
type versions struct {
	mu    sync.Mutex
	count map[uint64]uint64 // by serial; without those that have never changed
}

// of returns the version of d's archive, from 0 on. Ask before the archive is opened.
func (v *versions) of(d item) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.count[d.Serial()]
}

// noticed begins a new version if err says that the archive, which was opened in version
// seen, is another one now.
func (v *versions) noticed(d item, seen uint64, err error) {
	if !errors.Is(err, download.ErrChanged) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.count[d.Serial()] != seen {
		return // somebody else was faster
	}
	if v.count == nil {
		v.count = make(map[uint64]uint64)
	}
	v.count[d.Serial()]++
}
