package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"

	"downloadfs/download"
)

// Config is what a mount needs.
type Config struct {
	// Mountpoint is an existing directory. The mount hides what is in it.
	Mountpoint string
	Manager    *download.Manager
	// AllowOther lets other users read. The kernel then checks permissions.
	AllowOther bool
	// WaitOpen makes opening archive.zip the only call that waits; a stat never does.
	// Tools that trust the size from a stat before the open then fail on a pending
	// archive.
	WaitOpen bool
	// NoContents leaves out the directories that show what is inside the archives.
	NoContents bool
	// Elsewhere says that downloads also come, go and change their names on other machines.
	// The kernel then asks for a name each time that a program uses it.
	Elsewhere bool
	// FsName is what mount(8) and df(1) show as the source: the server's URL, without
	// secrets.
	FsName string
	// UID and GID own everything in the mount: they belong to the user who mounts it.
	UID, GID uint32
	// Logger may be nil. At debug level it gets a record of each operation.
	Logger *slog.Logger
	// Observer, if not nil, is told of each operation.
	Observer Observer
	// Stats, if not nil, returns the text of the file .stats. It does not block.
	Stats func() []byte
	// Bandwidth, if not nil, is the file .bandwidth.
	Bandwidth Setting

	// Announcer makes the command of a child process that calls Announce with its
	// standard input and output, on its first thread. The child tells inotify about
	// what happens in the mount. If Announcer is nil, nobody does.
	Announcer func() *exec.Cmd

	proc string // where /proc is, for tests; /proc if empty
}

// These errors say why a directory cannot be mounted on or unmounted, and what to do.
var (
	// ErrMountpoint: the mountpoint is missing or not a directory.
	ErrMountpoint = errors.New("cannot use the mountpoint")
	// ErrFUSE: the system cannot mount FUSE file systems, or this user may not.
	ErrFUSE = errors.New("FUSE is not available")
	// ErrBusy: a process uses the mount, so it cannot be unmounted.
	ErrBusy = errors.New("in use")
	// ErrCovered: another file system is mounted over the mount. It is an ErrBusy.
	ErrCovered = fmt.Errorf("%w: another file system is mounted over it", ErrBusy)
)
