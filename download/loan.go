package download

import "context"

// Loan is the outcome of a read whose bytes need not have been copied: they lie, in
// order, in Pieces.
type Loan struct {
	Pieces [][]byte
	// Return gives the pieces back, if it is not nil. It is called exactly once;
	// they must not be touched afterwards, and not be changed at all.
	Return func()
}

// Lender is an [Archive] that can lend bytes that it has in memory.
type Lender interface {
	// Lend is ReadAt, but copies into p only what is not in memory. It returns a
	// loan of all of p's length, or an error and no loan: the range must lie inside
	// the archive.
	Lend(ctx context.Context, p []byte, off int64) (Loan, error)
}

// Lend borrows [off, off+len(p)) from a if it is a [Lender], and else reads it
// into p.
func Lend(ctx context.Context, a Archive, p []byte, off int64) (Loan, error) {
	if l, ok := a.(Lender); ok {
		return l.Lend(ctx, p, off)
	}
	n, err := a.ReadAt(ctx, p, off)
	if n < len(p) {
		return Loan{}, err
	}
	return Loan{Pieces: [][]byte{p}}, nil
}
