//go:build !linux || portable

package fs

import "syscall"

// serverFailed is EREMOTEIO on Linux, which others do not have.
const serverFailed = syscall.EIO
