//go:build !linux || portable

package fs

// Without /proc only the process of a caller and the name of its program are known.
// Every interrupt ends its wait, and what it holds open cannot be seen.

func (c callers) disturbed(int) bool { return true }

func (c callers) exiting(int) bool { return false }

func (c callers) killed(int) bool { return false }

// closed takes each close by the opener for its last one.
func (c callers) closed(_ listFile, opener, closer, _ int) bool { return closer == opener }

func (c callers) sees(int) bool { return true }
