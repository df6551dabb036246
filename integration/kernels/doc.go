// Command kernels runs the integration tests on kernels other than the
// machine's own, and prints which pass where:
//
//	go run ./integration/kernels [-run REGEXP] [-skip REGEXP] [-tags TAGS] [KERNEL…]
//
// A kernel runs as a process, over this machine's own files, which it cannot
// change: Debian's user-mode-linux, and under qemu's emulation the kernels that
// scripts/setup kernels has unpacked. The tests and the binary under test are
// built here; a test knows nothing of where it runs, but for a factor by which
// its time bounds grow (see harness.Scaled).
//
// It starts itself again as the -exec of go test, so that the output, the
// selection of tests and their timeouts are those of go test.
package main
