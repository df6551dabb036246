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

// traced tells the observer of each operation, and logs it with its outcome at debug
// level. It logs no data, because a list may hold URLs with a user's ticket in them.
type traced struct {
	fuse.RawFileSystem
	log      *slog.Logger
	debug    bool
	observer Observer // may be nil
}

// trace returns raw, and tells of its operations whoever wants to know.
func trace(raw fuse.RawFileSystem, log *slog.Logger, observer Observer) fuse.RawFileSystem {
	debug := log.Enabled(context.Background(), slog.LevelDebug)
	if !debug && observer == nil {
		return raw
	}
	return &traced{raw, log, debug, observer}
}

// record tells of an operation of the caller in h that began at began.
func (t *traced) record(op string, h *fuse.InHeader, began time.Time, status fuse.Status, attrs ...slog.Attr) {
	took := time.Since(began)
	if t.observer != nil {
		t.observer.Operation(op, syscall.Errno(max(status, 0)), took)
	}
	if !t.debug {
		return
	}
	attrs = append([]slog.Attr{slog.String("op", op), slog.Uint64("ino", h.NodeId), slog.Uint64("pid", uint64(h.Pid))}, attrs...)
	attrs = append(attrs, slog.Duration("took", took))
	if !status.Ok() {
		attrs = append(attrs, slog.String("errno", syscall.Errno(status).Error()))
	}
	t.log.LogAttrs(context.Background(), slog.LevelDebug, "fuse", attrs...)
}

func named(name string) slog.Attr { return slog.String("name", name) }
func offset(off uint64) slog.Attr { return slog.Uint64("off", off) }
func length(n uint32) slog.Attr   { return slog.Uint64("len", uint64(n)) }

func (t *traced) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Lookup(cancel, h, name, out)
	t.record("lookup", h, began, status, named(name))
	return status
}

func (t *traced) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.GetAttr(cancel, in, out)
	t.record("getattr", &in.InHeader, began, status)
	return status
}

func (t *traced) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Statx(cancel, in, out)
	t.record("statx", &in.InHeader, began, status)
	return status
}

func (t *traced) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.SetAttr(cancel, in, out)
	t.record("setattr", &in.InHeader, began, status)
	return status
}

func (t *traced) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Access(cancel, in)
	t.record("access", &in.InHeader, began, status)
	return status
}

func (t *traced) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Mknod(cancel, in, name, out)
	t.record("mknod", &in.InHeader, began, status, named(name))
	return status
}

func (t *traced) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Mkdir(cancel, in, name, out)
	t.record("mkdir", &in.InHeader, began, status, named(name))
	return status
}

func (t *traced) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Unlink(cancel, h, name)
	t.record("unlink", h, began, status, named(name))
	return status
}

func (t *traced) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Rmdir(cancel, h, name)
	t.record("rmdir", h, began, status, named(name))
	return status
}

func (t *traced) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Rename(cancel, in, from, to)
	t.record("rename", &in.InHeader, began, status, named(from), slog.String("to", to))
	return status
}

func (t *traced) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Link(cancel, in, name, out)
	t.record("link", &in.InHeader, began, status, named(name))
	return status
}

func (t *traced) Symlink(cancel <-chan struct{}, h *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Symlink(cancel, h, to, name, out)
	t.record("symlink", h, began, status, named(name))
	return status
}

func (t *traced) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	began := time.Now()
	result, status := t.RawFileSystem.Readlink(cancel, h)
	t.record("readlink", h, began, status)
	return result, status
}

func (t *traced) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, attr string, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	result, status := t.RawFileSystem.GetXAttr(cancel, h, attr, dest)
	t.record("getxattr", h, began, status, named(attr))
	return result, status
}

func (t *traced) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	began := time.Now()
	result, status := t.RawFileSystem.ListXAttr(cancel, h, dest)
	t.record("listxattr", h, began, status)
	return result, status
}

func (t *traced) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, attr string, data []byte) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.SetXAttr(cancel, in, attr, data)
	t.record("setxattr", &in.InHeader, began, status, named(attr))
	return status
}

func (t *traced) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Create(cancel, in, name, out)
	t.record("create", &in.InHeader, began, status, named(name))
	return status
}

func (t *traced) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Open(cancel, in, out)
	t.record("open", &in.InHeader, began, status)
	return status
}

func (t *traced) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	began := time.Now()
	result, status := t.RawFileSystem.Read(cancel, in, buf)
	t.record("read", &in.InHeader, began, status, offset(in.Offset), length(in.Size))
	if t.observer != nil && status.Ok() && result != nil {
		t.observer.Served(result.Size())
	}
	return result, status
}

// Writev is what the server calls for a WRITE.
func (t *traced) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	began := time.Now()
	n, status := t.RawFileSystem.Writev(cancel, in, data)
	t.record("write", &in.InHeader, began, status, offset(in.Offset), length(in.Size))
	return n, status
}

func (t *traced) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Lseek(cancel, in, out)
	t.record("lseek", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (t *traced) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Flush(cancel, in)
	t.record("flush", &in.InHeader, began, status)
	return status
}

func (t *traced) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Fsync(cancel, in)
	t.record("fsync", &in.InHeader, began, status)
	return status
}

func (t *traced) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	began := time.Now()
	t.RawFileSystem.Release(cancel, in)
	t.record("release", &in.InHeader, began, fuse.OK)
}

func (t *traced) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.Fallocate(cancel, in)
	t.record("fallocate", &in.InHeader, began, status)
	return status
}

func (t *traced) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.OpenDir(cancel, in, out)
	t.record("opendir", &in.InHeader, began, status)
	return status
}

func (t *traced) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.ReadDir(cancel, in, out)
	t.record("readdir", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (t *traced) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.ReadDirPlus(cancel, in, out)
	t.record("readdirplus", &in.InHeader, began, status, offset(in.Offset))
	return status
}

func (t *traced) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	began := time.Now()
	status := t.RawFileSystem.StatFs(cancel, h, out)
	t.record("statfs", h, began, status)
	return status
}
