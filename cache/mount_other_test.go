//go:build !linux

package cache

import "errors"

func mountFS(string, string) error { return errors.ErrUnsupported }
