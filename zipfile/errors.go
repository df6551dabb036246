package zipfile

import (
	"errors"
	"fmt"
)

// These errors say what is wrong with an archive. All other errors come from the
// source: the same call may succeed later.
var (
	// ErrFormat: the bytes are not a zip, or its directory contradicts itself.
	ErrFormat = errors.New("the zip's directory cannot be read")
	// ErrDamaged: the bytes of an entry are not what the directory says.
	ErrDamaged = errors.New("damaged entry")
	// ErrUnsupported: an entry that is encrypted, or packed in an unknown way.
	ErrUnsupported = errors.New("entry that cannot be unpacked")
)

func formatf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}
