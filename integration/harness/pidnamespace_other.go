//go:build !linux

package harness

import "syscall"

// inPIDNamespace does nothing: there are no pid namespaces.
func inPIDNamespace(*syscall.SysProcAttr) {}
