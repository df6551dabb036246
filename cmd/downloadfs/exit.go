package main

import (
	"errors"
	"fmt"

	"downloadfs/download"
)

// The exit codes. They are part of the command's interface: scripts and units use
// them to decide whether starting again can help.
const (
	exitOK          = 0
	exitOther       = 1
	exitUsage       = 2 // flags, arguments, environment: starting again cannot help
	exitLogin       = 3 // the server refuses the user name or the password
	exitUnreachable = 4 // the server does not answer, and the journal is empty
	exitMountpoint  = 5 // the mountpoint cannot be used, or FUSE cannot
	exitLocked      = 6 // another process uses the state or the cache
)

// errInterrupted: a signal ended the command.
var errInterrupted = errors.New("interrupted")

// exitError is an error that decides the exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitf makes an error with an exit code. Its text is one line: what went wrong,
// where, and what to do about it.
func exitf(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

// exitCode returns the exit code for err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	switch {
	case errors.Is(err, download.ErrLocked):
		return exitLocked
	case errors.Is(err, download.ErrUnauthorized), errors.Is(err, download.ErrForbidden):
		return exitLogin
	case errors.Is(err, download.ErrUnavailable):
		return exitUnreachable
	}
	return exitOther
}
