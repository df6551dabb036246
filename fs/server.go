package fs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// typeName is the file system's type, "fuse.downloadfs" in /proc/mounts.
const typeName = "downloadfs"

// maxRequest is how much one READ or WRITE may carry, and how far ahead of a
// reader the kernel reads where it can be told to: a block of the cache.
const maxRequest = 1 << 20

// Server serves one mount until it is unmounted.
type Server struct {
	mountpoint string // absolute, without links
	fuse       *fuse.Server
	fs         *filesystem
	root       *rootNode
	done       chan struct{} // closed when nothing is served any more

	detached chan struct{} // closed when it is attached nowhere any more that we see

	unmounting sync.Mutex // one at a time
}

// Mount mounts the downloads of cfg.Manager and returns when they can be used.
// A mountpoint /dev/fd/N is a descriptor of /dev/fuse that is mounted already: it is
// served until who has mounted it unmounts it, or this process ends.
// The process must not use the mount itself: it could wait for its own answer.
func Mount(cfg Config) (*Server, error) { return mount(cfg, manager{cfg.Manager}) }

func mount(cfg Config, d domain) (*Server, error) {
	mountpoint, err := prepare(cfg.Mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, err)
	}
	s := &Server{mountpoint: mountpoint, fs: newFilesystem(cfg, d), done: make(chan struct{}), detached: make(chan struct{})}
	s.root = newRootNode(s.fs)
	if err := Available(cfg.AllowOther); err != nil && !isPassed(mountpoint) {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, err)
	}
	options := s.options(cfg)
	raw := trace(fusefs.NewNodeFS(s.root, options), s.fs.log)
	if s.fuse, err = connect(raw, mountpoint, &options.MountOptions); err != nil {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, explain(err))
	}
	s.tune() // before the first request, which may ask what it finds out
	unwatch := s.watch()
	go func() {
		defer close(s.done)
		s.fuse.Serve()
		unwatch()
		s.fs.close()
		closePipes()
	}()
	if err := s.awaitMount(); err != nil {
		_ = s.UnmountLazy()
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, explain(err))
	}
	return s, nil
}

func (s *Server) options(cfg Config) *fusefs.Options {
	o := &fusefs.Options{
		MountOptions: fuse.MountOptions{
			AllowOther:    cfg.AllowOther,
			FsName:        cfg.FsName,
			Name:          typeName,
			MaxWrite:      maxRequest,
			MaxReadAhead:  maxRequest,
			MaxBackground: 64,
			// A listing of 10,000 downloads need not make 10,000 inodes, unless
			// somebody looks at them (ls -l). Direct I/O need not forbid mmap.
			ExtraCapabilities: fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
			PanicHandler:      s.fs.panicked,
			Logger:            slog.NewLogLogger(s.fs.log.Handler(), slog.LevelDebug),
		},
		NullPermissions: true,
		RootStableAttr:  &fusefs.StableAttr{Ino: inoRoot},
	}
	if cfg.AllowOther {
		o.Options = append(o.Options, "default_permissions")
	}
	return o
}

// panicked makes EIO of a panic in a handler; the mount lives on.
func (f *filesystem) panicked(reason any) fuse.Status {
	f.log.Error("panic", "op", "request", "err", reason, "stack", string(debug.Stack()))
	return fuse.EIO
}

// Wait returns when the mount is gone, whoever unmounted it, and every request
// has been answered.
func (s *Server) Wait() { <-s.done }

// Detached is closed when nobody can open anything in the mount any more, who sees
// the mounts that this process sees. Files that are open are served on, and so is
// everything for a mount namespace that has the mount as well, until Wait returns.
func (s *Server) Detached() <-chan struct{} { return s.detached }

// InUse reports whether somebody waits for an archive, or has one or a list open.
func (s *Server) InUse() bool { return s.fs.uses.Load() > 0 }

// prepare returns the absolute path, without links, of a directory to mount on.
func prepare(path string) (string, error) {
	if isPassed(path) {
		return path, nil
	}
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMountpoint, err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrMountpoint, err)
	case !info.IsDir():
		return "", fmt.Errorf("%w: it is not a directory", ErrMountpoint)
	}
	return path, nil
}

// isPassed reports whether a mountpoint is the name of a descriptor (/dev/fd/N): of
// /dev/fuse, that somebody else has opened and mounted. It is theirs to unmount.
func isPassed(mountpoint string) bool {
	number, ok := strings.CutPrefix(mountpoint, "/dev/fd/")
	_, err := strconv.Atoi(number)
	return ok && err == nil
}

// gone reports whether the mount is no longer served.
func (s *Server) gone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
