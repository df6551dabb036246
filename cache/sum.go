package cache

import (
	"hash/crc32"
	"io"
	"sync"
)

// sumChunk is how much of a block is read at a time to check it. It fits in a
// processor's own cache.
const sumChunk = 128 << 10

var sumBuffers = sync.Pool{New: func() any { return new([sumChunk]byte) }}

// sumOf returns the CRC32C of r's bytes [off, off+n). If see is not nil, sumOf calls
// it with each part and the part's position relative to off.
func sumOf(r io.ReaderAt, off, n int64, see func(at int, part []byte)) (uint32, error) {
	buf := sumBuffers.Get().(*[sumChunk]byte)
	defer sumBuffers.Put(buf)
	var sum uint32
	at := 0
	for n > 0 {
		p := buf[:min(n, sumChunk)]
		if _, err := r.ReadAt(p, off); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, p)
		if see != nil {
			see(at, p)
		}
		at += len(p)
		off += int64(len(p))
		n -= int64(len(p))
	}
	return sum, nil
}
