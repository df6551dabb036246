//go:build !portable

package fs

import "syscall"

// serverFailed is the errno for a server that was reached and failed.
const serverFailed = syscall.EREMOTEIO
