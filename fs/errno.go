package fs

import (
	"context"
	"errors"
	"log/slog"
	"syscall"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// errnoTable says which errno a caller gets for which error. The first match counts.
// It is the only place where an error becomes an errno. ENOSYS is never in it: after
// ENOSYS the kernel would not send that request again.
var errnoTable = []struct {
	err   error
	errno syscall.Errno
}{
	// A waiter's own reasons come first: a download that was cancelled because it
	// stalled is cancelled.
	{download.ErrCancelled, syscall.ECANCELED},
	{download.ErrTooLarge, syscall.EFBIG},
	{download.ErrExpired, syscall.ESTALE},
	{download.ErrStalled, syscall.ETIMEDOUT},
	{download.ErrUnauthorized, syscall.EACCES},
	{download.ErrForbidden, syscall.EACCES},
	{download.ErrUnavailable, syscall.EHOSTUNREACH},
	{download.ErrServerFailed, serverFailed},
	{download.ErrClosed, syscall.ENOTCONN},

	{download.ErrInvalid, syscall.EINVAL},
	{download.ErrListTooLong, syscall.EFBIG},
	// For EINVAL mv says that a directory cannot be moved into itself.
	{download.ErrName, syscall.EPERM},
	{download.ErrNameText, syscall.EILSEQ},
	{download.ErrNotFound, syscall.ENOENT},
	{download.ErrExists, syscall.EEXIST},
	{download.ErrArchived, syscall.ENODATA},
	{download.ErrConflict, syscall.EBUSY},
	{download.ErrLocked, syscall.EBUSY},
	{download.ErrNotReady, syscall.EAGAIN},
	{download.ErrUncertain, syscall.EIO},
	{download.ErrProtocol, syscall.EPROTO},
	{download.ErrChanged, syscall.EIO},

	// These errors are about what is inside an archive.
	{zipfile.ErrFormat, syscall.EIO},
	{zipfile.ErrDamaged, syscall.EIO},
	{zipfile.ErrUnsupported, syscall.EOPNOTSUPP},

	// This is not EINTR: after EINTR the list's other writers would try forever.
	{errKilled, syscall.ECANCELED},
	{download.ErrInternal, syscall.EIO},
	{errToldLess, syscall.EOVERFLOW},
	{context.Canceled, syscall.EINTR},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},

	// The journal lies on a disk that can be full.
	{syscall.ENOSPC, syscall.ENOSPC},
	{syscall.EDQUOT, syscall.EDQUOT},
}

// errnoOf returns the errno for err, or EIO and false if err is not in the table.
func errnoOf(err error) (syscall.Errno, bool) {
	if err == nil {
		return 0, true
	}
	for _, row := range errnoTable {
		if errors.Is(err, row.err) {
			return row.errno, true
		}
	}
	return syscall.EIO, false
}

// errno returns what the caller of op gets for err. It logs an err that is not in the
// table.
func (f *filesystem) errno(op string, id download.ID, err error) syscall.Errno {
	errno, foreseen := errnoOf(err)
	switch {
	case err == nil:
	case !foreseen:
		f.log.Error("request failed", "op", op, "download", id, "errno", errno.Error(), "err", err)
	default:
		f.log.Debug("request refused", "op", op, "download", id, slog.String("errno", errno.Error()), "err", err)
	}
	return errno
}
