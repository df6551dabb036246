package fs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// typeName is the file system's type, "fuse.downloadfs" in /proc/mounts.
const typeName = "downloadfs"

// maxRequest is how much one READ or WRITE may carry. It is the size of a block of the
// cache.
const maxRequest = 1 << 20

// readAhead is how far ahead the kernel reads, if it can be told to. It is two requests
// for each block of the cache, so that one file in an archive is unpacked and copied at
// the same time: with whole blocks that took 1.4 times as long.
const readAhead = maxRequest / 2

// Server serves one mount until it is unmounted.
type Server struct {
	mountpoint string // absolute, without links
	fuse       *fuse.Server
	fs         *filesystem
	root       *rootNode
	done       chan struct{} // closed when nothing is served any more
	// served is closed when the connection has ended. From then on the mount's device
	// may be another mount's.
	served chan struct{}

	detached chan struct{} // closed when the mount is attached nowhere any more that we can see

	unmounting sync.Mutex // one at a time
}

// Mount mounts the downloads of cfg.Manager and returns when they can be used. The
// mountpoint /dev/fd/N is a descriptor of /dev/fuse that is already mounted. It is
// served until the process that mounted it unmounts it, or this process ends. This
// process must not use the mount itself: it could wait for its own answer.
func Mount(cfg Config) (*Server, error) { return mount(cfg, manager{cfg.Manager}) }

func mount(cfg Config, d domain) (*Server, error) {
	mountpoint, err := prepare(cfg.Mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, err)
	}
	s := &Server{mountpoint: mountpoint, fs: newFilesystem(cfg, d),
		done: make(chan struct{}), served: make(chan struct{}), detached: make(chan struct{})}
	s.fs.announce = newAnnouncer(s.fs, cfg, mountpoint)
	s.root = newRootNode(s.fs)
	if err := Available(cfg.AllowOther); err != nil && !isPassed(mountpoint) {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, err)
	}
	options := s.options(cfg)
	raw := fusefs.NewNodeFS(s.root, options)
	if runtime.GOOS == "linux" {
		raw = withoutXattrs{raw}
	}
	raw = trace(raw, s.fs.log, cfg.Observer)
	if s.fuse, err = connect(raw, mountpoint, &options.MountOptions); err != nil {
		return nil, fmt.Errorf("mount on %s: %w", cfg.Mountpoint, explain(err))
	}
	s.tune() // before the first request, which may need what tune finds out
	s.fs.announce.start()
	unwatch := s.watch()
	go func() {
		defer close(s.done)
		s.fuse.Serve()
		close(s.served)
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
			MaxReadAhead:  readAhead,
			MaxBackground: 64,
			// A link's target never changes: contents leads to an id, and a dropped link
			// that is replaced is another inode.
			EnableSymlinkCaching: true,
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

// panicked turns a panic in a handler into EIO. The mount keeps working.
func (f *filesystem) panicked(reason any) fuse.Status {
	f.log.Error("panic", "op", "request", "err", reason, "stack", string(debug.Stack()))
	return fuse.EIO
}

// Wait returns when the mount is gone and every request has been answered. It does
// not matter who unmounted it.
func (s *Server) Wait() { <-s.done }

// Detached is closed when nobody who sees the same mounts as this process can open
// anything in the mount any more. Until Wait returns, open files are still served,
// and so is everything for a mount namespace that has the mount too.
func (s *Server) Detached() <-chan struct{} { return s.detached }

// InUse reports whether a process waits for an archive, or has an archive or a list
// open.
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

// isPassed reports whether a mountpoint is a descriptor's name (/dev/fd/N). Another
// process has opened /dev/fuse there, and mounted it. That process unmounts it.
func isPassed(mountpoint string) bool {
	number, ok := strings.CutPrefix(mountpoint, "/dev/fd/")
	_, err := strconv.Atoi(number)
	return ok && err == nil
}

// Gone reports whether the mount has ended everywhere. Wait may return a little later.
func (s *Server) Gone() bool {
	select {
	case <-s.served:
		return true
	default:
		return false
	}
}
