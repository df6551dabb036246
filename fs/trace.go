package fs

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Observer is told what the kernel asks and gets. Many goroutines call its methods,
// which must not block.
type Observer interface {
	// Operation: a request of the kernel, by FUSE's name in lower case, was answered
	// with errno.
	Operation(name string, errno syscall.Errno, took time.Duration)
	// Served: a READ was answered with n bytes.
	Served(n int)
}

// watched tells the observer of each operation, and logs it with its outcome at debug
// level. It logs no data, because a list may hold URLs with a user's ticket in them.
type watched struct {
	fuse.RawFileSystem
	log      *slog.Logger
	debug    bool
	observer Observer // may be nil
}

// watch returns raw, and tells of its operations whoever wants to know.
func watch(raw fuse.RawFileSystem, log *slog.Logger, observer Observer) fuse.RawFileSystem {
	debug := log.Enabled(context.Background(), slog.LevelDebug)
	if !debug && observer == nil {
		return raw
	}
	return &watched{raw, log, debug, observer}
}

// record tells of an operation of the caller in h that began at began.
func (w *watched) record(op string, h *fuse.InHeader, began time.Time, status fuse.Status, attrs ...slog.Attr) {
	took := time.Since(began)
	if w.observer != nil {
		w.observer.Operation(op, syscall.Errno(max(status, 0)), took)
	}
	if !w.debug {
		return
	}
	attrs = append([]slog.Attr{slog.String("op", op), slog.Uint64("ino", h.NodeId), slog.Uint64("pid", uint64(h.Pid))}, attrs...)
	attrs = append(attrs, slog.Duration("took", took))
	if !status.Ok() {
		attrs = append(attrs, slog.String("errno", syscall.Errno(status).Error()))
	}
	w.log.LogAttrs(context.Background(), slog.LevelDebug, "fuse", attrs...)
}

func named(name string) slog.Attr { return slog.String("name", name) }
func offset(off uint64) slog.Attr { return slog.Uint64("off", off) }
func length(n uint32) slog.Attr   { return slog.Uint64("len", uint64(n)) }

func (w *watched) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Lookup(cancel, h, name, out)
	w.record("lookup", h, began, status, named(name))
	return status
}

func (w *watched) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.GetAttr(cancel, in, out)
	w.record("getattr", &in.InHeader, began, status)
	return status
}

func (w *watched) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Statx(cancel, in, out)
	w.record("statx", &in.InHeader, began, status)
	return status
}

func (w *watched) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.SetAttr(cancel, in, out)
	w.record("setattr", &in.InHeader, began, status)
	return status
}

func (w *watched) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Access(cancel, in)
	w.record("access", &in.InHeader, began, status)
	return status
}

func (w *watched) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Mknod(cancel, in, name, out)
	w.record("mknod", &in.InHeader, began, status, named(name))
	return status
}

func (w *watched) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Mkdir(cancel, in, name, out)
	w.record("mkdir", &in.InHeader, began, status, named(name))
	return status
}

func (w *watched) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Unlink(cancel, h, name)
	w.record("unlink", h, began, status, named(name))
	return status
}

func (w *watched) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Rmdir(cancel, h, name)
	w.record("rmdir", h, began, status, named(name))
	return status
}

func (w *watched) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Rename(cancel, in, from, to)
	w.record("rename", &in.InHeader, began, status, named(from), slog.String("to", to))
	return status
}

func (w *watched) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Link(cancel, in, name, out)
	w.record("link", &in.InHeader, began, status, named(name))
	return status
}

func (w *watched) Symlink(cancel <-chan struct{}, h *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Symlink(cancel, h, to, name, out)
	w.record("symlink", h, began, status, named(name))
	return status
}

func (w *watched) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	began := time.Now()
	result, status := w.RawFileSystem.Readlink(cancel, h)
	w.record("readlink", h, began, status)
	return result, status
}

func (w *watched) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	result, status := w.RawFileSystem.GetXAttr(cancel, h, attr, dest)
	w.record("getxattr", h, began, status, named(attr))
	return result, status
}

func (w *watched) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	result, status := w.RawFileSystem.ListXAttr(cancel, h, dest)
	w.record("listxattr", h, began, status)
	return result, status
}

func (w *watched) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.SetXAttr(cancel, in, attr, data)
	w.record("setxattr", &in.InHeader, began, status, named(attr))
	return status
}

func (w *watched) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Create(cancel, in, name, out)
	w.record("create", &in.InHeader, began, status, named(name))
	return status
}

func (w *watched) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Open(cancel, in, out)
	w.record("open", &in.InHeader, began, status)
	return status
}

func (w *watched) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	began := time.Now()
	result, status := w.RawFileSystem.Read(cancel, in, buf)
	w.record("read", &in.InHeader, began, status, offset(in.Offset), length(in.Size))
	if w.observer != nil && status.Ok() && result != nil {
		w.observer.Served(result.Size())
	}
	return result, status
}

// Writev is what the server calls for a WRITE.
func (w *watched) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	began := time.Now()
	n, status := w.RawFileSystem.Writev(cancel, in, data)
	w.record("write", &in.InHeader, began, status, offset(in.Offset), length(in.Size))
	return n, status
}

func (w *watched) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Lseek(cancel, in, out)
	w.record("lseek", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (w *watched) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Flush(cancel, in)
	w.record("flush", &in.InHeader, began, status)
	return status
}

func (w *watched) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Fsync(cancel, in)
	w.record("fsync", &in.InHeader, began, status)
	return status
}

func (w *watched) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	began := time.Now()
	w.RawFileSystem.Release(cancel, in)
	w.record("release", &in.InHeader, began, fuse.OK)
}

func (w *watched) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.Fallocate(cancel, in)
	w.record("fallocate", &in.InHeader, began, status)
	return status
}

func (w *watched) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.OpenDir(cancel, in, out)
	w.record("opendir", &in.InHeader, began, status)
	return status
}

func (w *watched) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.ReadDir(cancel, in, out)
	w.record("readdir", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (w *watched) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.ReadDirPlus(cancel, in, out)
	w.record("readdirplus", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (w *watched) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	began := time.Now()
	status := w.RawFileSystem.StatFs(cancel, h, out)
	w.record("statfs", h, began, status)
	return status
}
