//go:build race

package cache

import "unsafe"

// allocBlock returns memory for one block, aligned as a page is. The race detector
// watches only the garbage collector's heap.
func allocBlock() []byte {
	buf := make([]byte, BlockSize+directAlign)
	skip := -uintptr(unsafe.Pointer(&buf[0])) % directAlign
	return buf[skip:][:BlockSize:BlockSize]
}

// freeBlock leaves the memory to the garbage collector.
func freeBlock([]byte) {}
