//go:build !linux || portable

package fs

import "syscall"

// serverFailed is EREMOTEIO on Linux. Other systems do not have that.
const serverFailed = syscall.EIO
