// Package harness runs the built downloadfs binary on real mounts for tests and
// benchmarks: a server, mounts of it, and ordinary tools as child processes.
//
// The rules it keeps for every test:
//
//   - Only child processes with a deadline touch a mount, see [Run]. Nothing could
//     end a call by the test process into a mount that hangs.
//   - Nothing sleeps for a guessed time: a process is ready when it prints its ready line,
//     and other states are polled for, with a deadline.
//   - Before the harness removes a directory, it checks that every mount below it
//     is gone: removing files in a mount of downloadfs cancels downloads.
//   - A warning or error in a log that the test did not announce fails it, and
//     so do goroutines and descriptors that a mount leaves at its end.
//
// A test package calls [Main] from its TestMain.
package harness
