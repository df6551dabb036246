//go:build !race

package cache

import "golang.org/x/sys/unix"

// allocBlock returns memory for one block. It lies outside
// the garbage collector's heap, which would otherwise let as much garbage pile up
// as there are buffers before it collects.
func allocBlock() []byte {
	buf, err := unix.Mmap(-1, 0, BlockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, BlockSize)
	}
	return buf
}

// freeBlock gives memory from allocBlock back.
func freeBlock(buf []byte) {
	// It fails only for memory that was not mapped, which the collector frees.
	_ = unix.Munmap(buf)
}
