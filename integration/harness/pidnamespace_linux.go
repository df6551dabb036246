package harness

import "syscall"

func inPIDNamespace(a *syscall.SysProcAttr) { a.Cloneflags |= syscall.CLONE_NEWPID }
