package cache

import "downloadfs/download"

var _ download.Expecter = (*handle)(nil)

// Expect implements [download.Expecter]. The blocks of the range stay in memory for a
// moment, because they are read in pieces.
func (h *handle) Expect(off, n int64) {
	a := h.a
	if h.closed.Load() || off < 0 || n <= 0 || off >= a.info.Size {
		return
	}
	a.noteRange(off, min(n, a.info.Size-off), true)
}
