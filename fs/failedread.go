package fs

import (
	"sync"
	"syscall"
	"time"
)

const (
	// longRead is how long a read must have waited to be remembered as failed.
	longRead = time.Second
	// failedFor is how long it is remembered.
	failedFor = 250 * time.Millisecond
)

// failedRead is a read that waited long and failed. When a read-ahead fails, the
// kernel asks for its first page again at once. The reader must not wait for a second
// retry budget because of that.
type failedRead struct {
	off, end int64
	until    time.Time
	errno    syscall.Errno
}

// covers returns the errno for a read at off that comes right after the failed one,
// or 0 for any other read.
func (f failedRead) covers(off int64, now time.Time) syscall.Errno {
	if now.Before(f.until) && f.off <= off && off < f.end {
		return f.errno
	}
	return 0
}

// add remembers a read of [off, end) that began at began and failed at now. Reads of
// one read-ahead fail together.
func (f failedRead) add(off, end int64, began, now time.Time, errno syscall.Errno) failedRead {
	switch {
	case now.Sub(began) < longRead || errno == syscall.EINTR:
		return f // EINTR concerns one caller only
	case now.Before(f.until):
		off, end = min(off, f.off), max(end, f.end)
	}
	return failedRead{off, end, now.Add(failedFor), errno}
}

// failures remembers the read of one handle that failed last.
type failures struct {
	mu   sync.Mutex
	last failedRead // guarded by mu
}

// justFailed returns the errno with which a read at off has just failed.
func (f *failures) justFailed(off int64) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last.covers(off, time.Now())
}

// fail notes that a read failed.
func (f *failures) fail(off, length int64, began time.Time, errno syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = f.last.add(off, off+length, began, time.Now(), errno)
}
