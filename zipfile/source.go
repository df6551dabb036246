package zipfile

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Source is an archive's bytes. Its methods are safe for concurrent use.
type Source interface {
	// ReadAt fills p from off, as io.ReaderAt does. It may wait for the network. When
	// ctx ends, it returns ctx's error.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	// Expect says that the n bytes from off are going to be read, a piece at a time, so
	// that they can be asked for at once. It does not wait.
	Expect(off, n int64)
}

// readFull fills p from off.
func readFull(ctx context.Context, src Source, p []byte, off int64) error {
	n, err := src.ReadAt(ctx, p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("read archive at %d: %w", off+int64(n), io.ErrUnexpectedEOF)
	}
	return err
}
