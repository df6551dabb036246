// Command kernels runs the integration tests on kernels other than the
// machine's own, and prints which pass where:
//
//	go run ./integration/kernels [-run REGEXP] [-skip REGEXP] [-tags TAGS] [KERNEL…]
//
// A kernel runs as a process over this machine's own files, which it cannot
// change. The kernels are Debian's user-mode-linux and, under qemu's emulation,
// those that scripts/setup kernels has unpacked. The tests and the binary under
// test are built here. A test knows nothing about where it runs, except a factor
// for its time bounds (see harness.Scaled), which is measured before the tests begin.
//
// Each batch of tests has a guest of its own. What a batch cannot end is in the table,
// told from what did not run, and costs no other batch.
//
// The command starts itself again as the -exec of go test. The output, the
// selection of tests and their timeouts are therefore go test's.
package main
