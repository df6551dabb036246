//go:build !linux

package harness

import "syscall"

// There are no pid namespaces.
func inPIDNamespace(*syscall.SysProcAttr) {}
