package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gopkg.in/natefinch/lumberjack.v2"
)

const (
	logFileMB    = 10 // size at which a log file is put aside
	logFilesKept = 3
)

// logFile is a log file that is put aside when it is large. At SIGUSR2, after a log
// rotation has moved it, it is opened again.
type logFile struct {
	file *lumberjack.Logger
	stop func()

	mu     sync.Mutex
	stderr bool // standard error goes there too; guarded by mu
}

// openLogFile opens, or creates, a log file that only this user can read. Its directory
// must exist: a missing one is likelier misspelt than wanted.
func openLogFile(path string) (*logFile, error) {
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no directory %s; make it first", filepath.Dir(path))
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && int(stat.Uid) != os.Geteuid() && stat.Uid != 0 {
		return nil, fmt.Errorf("%s belongs to another user, who could read it; choose another file", path)
	}
	l := &logFile{file: &lumberjack.Logger{Filename: path, MaxSize: logFileMB, MaxBackups: logFilesKept}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			l.reopen()
		}
	}()
	l.stop = func() { signal.Stop(signals); close(signals); <-done }
	return l, nil
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) { return l.file.Write(p) }

// reopen closes the file. The next record creates it again, unless standard error has:
// that comes first, or else the one of the two that comes second could put aside what
// the other has just made.
func (l *logFile) reopen() {
	l.mu.Lock()
	taken := l.stderr
	l.mu.Unlock()
	if taken {
		_ = l.takeStderr()
	}
	_ = l.file.Close()
}

// takeStderr sends standard error to the file. The runtime writes there when the
// process crashes.
func (l *logFile) takeStderr() error {
	f, err := os.OpenFile(l.file.Filename, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	l.mu.Lock()
	l.stderr = true
	l.mu.Unlock()
	return unix.Dup2(int(f.Fd()), 2)
}

// close closes the file.
func (l *logFile) close() error {
	l.stop()
	return l.file.Close()
}
