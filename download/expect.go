package download

// Expecter is an [Archive] that can be told what is going to be read.
type Expecter interface {
	// Expect says that [off, off+n) is going to be read, a piece at a time. What is
	// missing of it is then asked for in one request when the first piece is read. It
	// does not wait. A range that is not in the archive has no effect.
	Expect(off, n int64)
}

// Expect tells a what is going to be read, if it is an [Expecter].
func Expect(a Archive, off, n int64) {
	if e, ok := a.(Expecter); ok {
		e.Expect(off, n)
	}
}
