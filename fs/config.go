package fs

import (
	"errors"
	"fmt"
	"log/slog"

	"downloadfs/download"
)

// Config is what a mount needs.
type Config struct {
	// Mountpoint is an existing directory. What is in it is hidden.
	Mountpoint string
	Manager    *download.Manager
	// AllowOther lets other users read; the kernel then checks permissions.
	AllowOther bool
	// WaitOpen makes opening archive.zip the only call that waits; a stat never
	// does. Tools that believe the size of a stat made before opening then fail
	// on a pending archive.
	WaitOpen bool
	// NoContents leaves out what is inside the archives.
	NoContents bool
	// FsName is what mount(8) and df(1) show as the source: the server's URL,
	// without secrets.
	FsName string
	// UID and GID own everything in the mount: they who mount it.
	UID, GID uint32
	// Logger may be nil. At debug level each operation is logged.
	Logger *slog.Logger

	proc string // where /proc is, a test's own; /proc if empty
}

// What keeps a directory from being mounted on; the error says what to do.
var (
	// ErrMountpoint: the mount point is missing or not a directory.
	ErrMountpoint = errors.New("unusable mount point")
	// ErrFUSE: the system cannot mount FUSE file systems, or not for this user.
	ErrFUSE = errors.New("FUSE is not available")
	// ErrBusy: somebody uses the mount, so it cannot be unmounted.
	ErrBusy = errors.New("in use")
	// ErrCovered: another file system is mounted over the mount; an ErrBusy.
	ErrCovered = fmt.Errorf("%w: another file system is mounted over it", ErrBusy)
)
