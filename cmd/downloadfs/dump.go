package main

import (
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// maxStacks bounds a stack dump in the log.
const maxStacks = 4 << 20

// dumpOnSignal writes one log record at each SIGUSR1, with what the process uses and
// the stacks of all its goroutines. Unlike SIGQUIT, it ends nothing. The returned
// function stops it.
func dumpOnSignal(log *slog.Logger) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			dump(log)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

func dump(log *slog.Logger) {
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && n < maxStacks {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	log.Info("dump", "op", "dump", "goroutines", runtime.NumGoroutine(), "descriptors", openDescriptors(),
		"heapBytes", mem.HeapAlloc, "stacks", string(buf[:n]))
}

// openDescriptors counts this process's descriptors. It returns -1 where it cannot.
func openDescriptors() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return -1
	}
	return len(entries) - 1 // one of them was for the listing
}
