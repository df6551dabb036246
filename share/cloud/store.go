package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"net/url"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"downloadfs/share"
)

// driver is one kind of store.
type driver struct {
	params []string // that its URLs may have
	// open opens a bucket. It asks the store nothing, and says so if it finds no login.
	open func(ctx context.Context, u *url.URL) (*bucket, error)
}

// drivers are the stores in this build, by the scheme of their URLs. Each adds itself.
var drivers = make(map[string]driver)

// bucket is an open bucket. What a driver leaves nil is done by gocloud.
type bucket struct {
	*blob.Bucket
	// create writes an object with one request, and only if it is not there. gocloud
	// copies large ones, and writes them in several parts.
	create func(ctx context.Context, key string, body []byte) error
	// remove deletes an object. gocloud looks first.
	remove func(ctx context.Context, key string) error
	// told returns the HTTP status that the store answered with, and its own name for
	// it. The status is 0 if the store did not answer.
	told func(error) (status int, name string)
	// badLogin reports whether an error that the store did not answer with says that
	// there is no login, or that whoever gives it refuses to.
	badLogin   func(error) bool
	howToLogin string
	// close ends connections that are open and not used.
	close func()
}

// Open opens the store of a URL, which Check must have found right. It asks the store
// nothing.
func Open(ctx context.Context, u *url.URL) (share.Store, error) {
	if err := Check(u); err != nil {
		return nil, err
	}
	b, err := drivers[u.Scheme].open(ctx, u)
	if err != nil {
		return nil, withoutSecrets(err)
	}
	return share.Within(&store{b}, u.Path), nil
}

const (
	// pageSize is how many objects a listing asks for at once.
	pageSize = 1000
	// conflictTries is how often a creation is tried that meets another one.
	conflictTries = 6
	// conflictPause is the pause after the first of them; each is twice as long as the
	// one before.
	conflictPause = 50 * time.Millisecond
)

// store is a bucket as a share needs it.
type store struct{ b *bucket }

var _ share.Store = (*store)(nil)

// Create implements share.Store.
func (s *store) Create(ctx context.Context, key string, body []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	pause := conflictPause
	for try := 1; ; try++ {
		err := s.create(ctx, key, body)
		if err == nil {
			return nil
		}
		err = s.b.failed("create", key, err)
		if !errors.Is(err, errConflict) || try == conflictTries {
			return err
		}
		// S3 answers so while it cannot say yet which of two creations wins.
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *store) create(ctx context.Context, key string, body []byte) error {
	if s.b.create != nil {
		return s.b.create(ctx, key, body)
	}
	return s.b.Upload(ctx, key, bytes.NewReader(body), &blob.WriterOptions{
		ContentType: contentType,
		IfNotExist:  true,
		BufferSize:  -1, // no copy: one request
	})
}

const contentType = "application/octet-stream"

// Open implements share.Store.
func (s *store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := s.b.NewRangeReader(ctx, key, off, n, nil)
	if err == nil {
		return reader{r, s.b, key}, nil
	}
	err = s.b.failed("open", key, err)
	if errors.Is(err, errBeyond) {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	return nil, err
}

// reader is an object that is being read.
type reader struct {
	*blob.Reader
	b   *bucket
	key string
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = r.b.failed("read", r.key, err)
	}
	return n, err
}

// List implements share.Store.
func (s *store) List(ctx context.Context, prefix string) ([]share.Object, error) {
	var found []share.Object
	for token := blob.FirstPageToken; ; {
		page, next, err := s.b.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			return nil, s.b.failed("list", prefix, err)
		}
		for _, o := range page {
			if !o.IsDir {
				found = append(found, share.Object{Key: o.Key, Size: o.Size, ModTime: o.ModTime})
			}
		}
		if len(next) == 0 {
			return found, nil
		}
		token = next
	}
}

// Delete implements share.Store.
func (s *store) Delete(ctx context.Context, key string) error {
	remove := s.b.remove
	if remove == nil {
		remove = s.b.Delete
	}
	err := remove(ctx, key)
	if err == nil {
		return nil
	}
	if err = s.b.failed("delete", key, err); errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	return err
}

// Close implements share.Store.
func (s *store) Close() error {
	err := s.b.Close()
	if s.b.close != nil {
		s.b.close()
	}
	return err
}

// told is bucket.told for stores that speak no HTTP.
func told(err error) (int, string) {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return 404, ""
	case gcerrors.FailedPrecondition:
		return 412, ""
	case gcerrors.InvalidArgument:
		return 416, ""
	default:
		return 0, ""
	}
}
