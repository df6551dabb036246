package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/download"
	"downloadfs/zipfile"
)

func TestErrno(t *testing.T) {
	tests := map[error]syscall.Errno{
		nil: 0,

		download.ErrCancelled:    syscall.ECANCELED,
		download.ErrTooLarge:     syscall.EFBIG,
		download.ErrExpired:      syscall.ESTALE,
		download.ErrStalled:      syscall.ETIMEDOUT,
		download.ErrUnauthorized: syscall.EACCES,
		download.ErrForbidden:    syscall.EACCES,
		download.ErrUnavailable:  syscall.EHOSTUNREACH,
		download.ErrServerFailed: serverFailed,
		download.ErrClosed:       syscall.ENOTCONN,
		download.ErrInvalid:      syscall.EINVAL,
		download.ErrListTooLong:  syscall.EFBIG,
		download.ErrName:         syscall.EPERM,
		download.ErrNameText:     syscall.EILSEQ,
		download.ErrNotFound:     syscall.ENOENT,
		download.ErrExists:       syscall.EEXIST,
		download.ErrArchived:     syscall.ENODATA,
		download.ErrConflict:     syscall.EBUSY,
		download.ErrLocked:       syscall.EBUSY,
		download.ErrNotReady:     syscall.EAGAIN,
		download.ErrUncertain:    syscall.EIO,
		download.ErrProtocol:     syscall.EPROTO,
		download.ErrChanged:      syscall.EIO,

		zipfile.ErrFormat:      syscall.EIO,
		zipfile.ErrDamaged:     syscall.EIO,
		zipfile.ErrUnsupported: syscall.EOPNOTSUPP,

		errKilled:                syscall.ECANCELED,
		errToldLess:              syscall.EOVERFLOW,
		download.ErrInternal:     syscall.EIO,
		context.Canceled:         syscall.EINTR,
		context.DeadlineExceeded: syscall.ETIMEDOUT,
		syscall.ENOSPC:           syscall.ENOSPC,
		syscall.EDQUOT:           syscall.EDQUOT,
	}
	for err, want := range tests {
		for _, e := range []error{err, wrapped(err), errors.Join(io.ErrUnexpectedEOF, wrapped(err))} {
			if err == nil {
				e = nil
			}
			got, foreseen := errnoOf(e)
			assert.Equal(t, want, got, "%v", e)
			assert.True(t, foreseen, "%v", e)
		}
	}
	for _, row := range errnoTable {
		assert.Contains(t, tests, row.err)
	}
}

func wrapped(err error) error { return fmt.Errorf("open d1: %w", fmt.Errorf("wait: %w", err)) }

// What nobody foresaw is EIO, whatever is in it: ENOSYS would make the kernel
// never ask again. It is logged, once.
func TestErrnoUnforeseen(t *testing.T) {
	var log bytes.Buffer
	f := &filesystem{log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, err := range []error{errors.New("odd"), io.ErrUnexpectedEOF, wrapped(syscall.ENOSYS)} {
		log.Reset()
		assert.Equal(t, syscall.EIO, f.errno("read", "d1", err))
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=ERROR")))
		assert.Contains(t, log.String(), "op=read download=d1")
	}
	log.Reset()
	assert.Equal(t, syscall.ECANCELED, f.errno("read", "d1", wrapped(download.ErrCancelled)))
	assert.Empty(t, log.String())
}
