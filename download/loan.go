package download

import "context"

// Loan is the outcome of a read that need not copy the bytes: they are in Pieces, in
// order.
type Loan struct {
	Pieces [][]byte
	// Return gives the pieces back, if it is not nil. Call it exactly once, do not
	// touch the pieces afterwards, and never change them.
	Return func()
}

// Lender is an [Archive] that can lend bytes that it has in memory.
type Lender interface {
	// Lend does what ReadAt does, but copies into p only the bytes that are not in
	// memory. It returns a loan of all of p's length, or an error and no loan. The
	// range must lie inside the archive.
	Lend(ctx context.Context, p []byte, off int64) (Loan, error)
}

// Lend borrows [off, off+len(p)) from a if it is a [Lender]. If not, it reads the range
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
