package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// output is standard output. It remembers its first failure, since most commands do not
// look whether what they print can be written, and writes nothing after it.
type output struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	o.err = err
	return n, err
}

// fileOf returns the file that is written to w, or nil if it goes elsewhere.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, _ := w.(*os.File)
	return f
}

// outputClosed reports whether this process was started without standard output. Go's
// runtime then opens /dev/null in its place, for reading and writing, and what is
// written is lost without an error. A shell opens it for writing only. But some
// programs that do not want the output open it as Go does, such as Python and Node, so
// only a command with no other result asks.
func outputClosed() bool {
	flags, err := unix.FcntlInt(1, unix.F_GETFL, 0)
	if err != nil {
		return true
	}
	var out, null unix.Stat_t
	if flags&unix.O_ACCMODE != unix.O_RDWR || unix.Fstat(1, &out) != nil || unix.Stat(os.DevNull, &null) != nil {
		return false
	}
	return out.Mode&unix.S_IFMT == unix.S_IFCHR && out.Rdev == null.Rdev
}
