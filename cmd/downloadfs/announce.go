package main

import (
	"io"
	"os"
	"os/exec"
	"runtime"

	"downloadfs/fs"
)

// announcerName is the name under which a mount runs this program again, as the child
// that announces changes to inotify; see fs.Announce.
const announcerName = "downloadfs-announce"

func isAnnouncer(argv0 string) bool { return argv0 == announcerName }

// The child is known by the id of its first thread. It stays on that thread only if
// it is bound to it before main begins.
func init() {
	if isAnnouncer(os.Args[0]) {
		runtime.LockOSThread()
	}
}

// announcer returns the command of the child. It runs this very program, even if its
// file has been replaced by an upgrade. It gets nothing of the environment.
func announcer() *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{announcerName}, Env: []string{"GOMAXPROCS=1"}}
}

// runAnnouncer is main for the child.
func runAnnouncer(in io.Reader, out io.Writer) int {
	if fs.Announce(in, out) != nil {
		return exitOther
	}
	return exitOK
}
