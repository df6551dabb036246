//go:build race

package cache

import "unsafe"

// allocBlock returns memory for one block, aligned to a page. It uses the garbage
// collector's heap because the race detector watches nothing else.
func allocBlock() []byte {
	buf := make([]byte, BlockSize+directAlign)
	skip := -uintptr(unsafe.Pointer(&buf[0])) % directAlign
	return buf[skip:][:BlockSize:BlockSize]
}

// freeBlock leaves the memory to the garbage collector.
func freeBlock([]byte) {}
