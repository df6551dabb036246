//go:build !linux || portable

package fs

import (
	"errors"
	"io"
)

// newAnnouncer returns nil: other systems are told of no changes.
func newAnnouncer(*filesystem, Config, string) *announcer { return nil }

type announceChild struct{}

func startAnnounceChild(*announcer) (*announceChild, error) { return nil, errors.ErrUnsupported }

func (*announceChild) make(*change) error { return errors.ErrUnsupported }
func (*announceChild) failed() bool       { return true }
func (*announceChild) end()               {}
func (*announceChild) kill()              {}

func (callers) watched() watchers { return watchers{} }

// Announce is for Linux only.
func Announce(io.Reader, io.Writer) error { return errors.ErrUnsupported }
