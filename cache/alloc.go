//go:build !race

package cache

import "golang.org/x/sys/unix"

// allocBlock returns memory for one block, outside the garbage collector's heap. On
// the heap, the collector would let as much garbage pile up as there are buffers
// before it runs.
func allocBlock() []byte {
	buf, err := unix.Mmap(-1, 0, BlockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, BlockSize)
	}
	return buf
}

// freeBlock releases memory from allocBlock.
func freeBlock(buf []byte) {
	// It fails only for memory that is not mapped. The collector frees that.
	_ = unix.Munmap(buf)
}
