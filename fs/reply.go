package fs

import (
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"

	"downloadfs/download"
)

// reply answers a READ with bytes that never change. go-fuse would try to splice a
// fuse.ReadResultData. That always fails and costs six system calls.
func reply(p []byte) fuse.ReadResult { return fuse.ReadResultVector([][]byte{p}) }

// lentReply answers a READ with bytes in the cache's own memory. go-fuse hands them
// to the kernel from there.
type lentReply struct {
	loan download.Loan
	size int64
}

func (r *lentReply) Size() int { return int(r.size) }

// Slices is what go-fuse calls on Linux.
func (r *lentReply) Slices() ([][]byte, fuse.Status) { return r.loan.Pieces, fuse.OK }

// Bytes is what go-fuse calls elsewhere.
func (r *lentReply) Bytes(buf []byte) ([]byte, fuse.Status) {
	if len(r.loan.Pieces) == 1 {
		return r.loan.Pieces[0], fuse.OK
	}
	return append(buf[:0], slices.Concat(r.loan.Pieces...)...), fuse.OK
}

// Done is called when the kernel has the bytes.
func (r *lentReply) Done() {
	if r.loan.Return != nil {
		r.loan.Return()
	}
}
