package cache

import (
	"context"
	"fmt"
	"os"

	"downloadfs/download"
)

// Lend implements [download.Lender].
func (h *handle) Lend(ctx context.Context, p []byte, off int64) (download.Loan, error) {
	a := h.a
	if h.closed.Load() {
		return download.Loan{}, fmt.Errorf("read %s: %w", a.info.ID, os.ErrClosed)
	}
	if off < 0 || int64(len(p)) > a.info.Size-off {
		return download.Loan{}, fmt.Errorf("read %s at %d: %w", a.info.ID, off, download.ErrInvalid)
	}
	l := &loan{a: a}
	if err := l.take(ctx, p, off); err != nil {
		l.giveBack()
		return download.Loan{}, fmt.Errorf("read %s at %d: %w", a.info.ID, off, err)
	}
	return download.Loan{Pieces: l.pieces, Return: l.giveBack}, nil
}

// loan is the part of an archive that a reader has borrowed.
type loan struct {
	a      *archive
	pieces [][]byte
	blocks []*memBlock // referenced, one per piece; nil where the piece is the reader's own memory
}

// take borrows [off, off+len(p)). It copies into p whatever is not in memory.
func (l *loan) take(ctx context.Context, p []byte, off int64) error {
	a := l.a
	a.noteRead(off, int64(len(p)))
	for len(p) > 0 {
		b := blockOf(off)
		from := int(off - blockOffset(b))
		part := p[:min(len(p), a.len(b)-from)]
		e, err := a.readBlock(ctx, part, b, from)
		if err != nil {
			return err
		}
		piece := part
		if e != nil {
			piece = e.buf[from : from+len(part)]
		}
		l.pieces, l.blocks = append(l.pieces, piece), append(l.blocks, e)
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

func (l *loan) giveBack() {
	for i, e := range l.blocks {
		if e != nil {
			l.a.unref(e, len(l.pieces[i]))
		}
	}
}
