package share

import (
	"context"
	"io"
	"strings"
	"time"
)

// Store is an object store that several machines reach. Keys consist of ASCII letters,
// digits, '.', '_', '-' and '/'. Methods block until the store answers or ctx ends, and
// are safe for concurrent use. They return errors that wrap fs.ErrNotExist and
// fs.ErrExist where they say so, and any others when the store is in trouble.
type Store interface {
	// Create writes an object, which then can be read by nobody but the owner of the
	// store, where the store can tell them apart. If the object is there already, it
	// stays as it is, and the error wraps fs.ErrExist. A reader sees all of the object
	// or none of it.
	Create(ctx context.Context, key string, body []byte) error
	// Open reads bytes [off, off+n) of an object, fewer if it ends before, or all from
	// off on if n is negative. It returns fs.ErrNotExist for an object that is not
	// there. ctx ends the reading too.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
	// List returns all objects whose keys begin with prefix, which is empty or ends
	// with '/', in the order of their keys.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object. It returns nil if the object is not there.
	Delete(ctx context.Context, key string) error
	// Close releases what the store holds on this machine.
	Close() error
}

// Object is an object in a store.
type Object struct {
	Key  string
	Size int64 // in bytes
	// ModTime is when it was written, by the store's own clock.
	ModTime time.Time
}

// Within returns the part of s whose keys begin with prefix. Closing it closes s.
func Within(s Store, prefix string) Store {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return s
	}
	return within{s, prefix + "/"}
}

type within struct {
	Store
	prefix string
}

func (w within) Create(ctx context.Context, key string, body []byte) error {
	return w.Store.Create(ctx, w.prefix+key, body)
}

func (w within) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	return w.Store.Open(ctx, w.prefix+key, off, n)
}

func (w within) List(ctx context.Context, prefix string) ([]Object, error) {
	objects, err := w.Store.List(ctx, w.prefix+prefix)
	for i := range objects {
		objects[i].Key = strings.TrimPrefix(objects[i].Key, w.prefix)
	}
	return objects, err
}

func (w within) Delete(ctx context.Context, key string) error {
	return w.Store.Delete(ctx, w.prefix+key)
}
