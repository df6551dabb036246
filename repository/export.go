package repository

import (
	"context"
	"io"
	"slices"
)

// visitor is what an export does with each node it meets. name is the node's
// path in the zip.
type visitor interface {
	folder(ctx context.Context, n node, name string) error
	file(ctx context.Context, n node, name string) error
}

// export shows v the nodes at paths and everything below them that a may read,
// in the order of the zip: a folder before what is in it, and in it the files
// first. What a may not read, and what is not there any more, is left out without
// a word.
func (t *tree) export(ctx context.Context, a *account, paths []string, v visitor) error {
	for _, p := range paths {
		n, ok := t.byPath(p)
		if !ok {
			continue
		}
		if err := t.exportNode(ctx, a, n, n.name, v); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) exportNode(ctx context.Context, a *account, n node, name string, v visitor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !a.mayRead(n.path) {
		return nil
	}
	if !n.folder {
		return v.file(ctx, n, name)
	}
	if err := v.folder(ctx, n, name); err != nil {
		return err
	}
	children, err := t.children(n.path)
	if err != nil {
		return nil // the folder has gone, or the server may not read it
	}
	slices.SortStableFunc(children, filesFirst)
	for _, c := range children {
		if err := t.exportNode(ctx, a, c, name+"/"+c.name, v); err != nil {
			return err
		}
	}
	return nil
}

func filesFirst(a, b node) int {
	switch {
	case a.folder == b.folder:
		return 0
	case a.folder:
		return 1
	}
	return -1
}

// estimator adds up what an export will hold.
type estimator struct {
	bytes, files int64
}

var _ visitor = (*estimator)(nil)

func (e *estimator) folder(context.Context, node, string) error { return nil }

func (e *estimator) file(_ context.Context, n node, _ string) error {
	e.bytes += n.size
	e.files++
	return nil
}

const (
	// copyBuffer and buffersPerUpdate are the real exporter's: it reports, and
	// looks whether it is cancelled, with the first 20 KB of every file and then
	// with every 500th buffer (10 MB).
	copyBuffer       = 20480
	buffersPerUpdate = 500
)

// exporter zips what it is shown.
type exporter struct {
	tree *tree
	zip  *zipStream
	buf  []byte
	// report publishes the counters and says whether to stop, and with what.
	report func() error
	// pace holds the export to its rate; it is called after each n bytes.
	pace func(ctx context.Context, n int) error
	// failAfter ends the export with errZipFailed beyond so many bytes; 0 never.
	failAfter int64

	bytes, files int64 // added so far
}

var _ visitor = (*exporter)(nil)

func (e *exporter) folder(_ context.Context, n node, name string) error {
	if err := e.zip.create(name+"/", n.modified); err != nil {
		return err
	}
	return e.zip.closeEntry()
}

func (e *exporter) file(ctx context.Context, n node, name string) error {
	f, err := e.tree.open(n.path)
	if err != nil {
		return nil // counted but not added: its content is missing
	}
	defer f.Close()
	if err := e.zip.create(name, n.modified); err != nil {
		return err
	}
	for i := 0; ; i++ {
		k, err := io.ReadFull(f, e.buf)
		if k > 0 {
			if err := e.add(ctx, e.buf[:k], i%buffersPerUpdate == 0); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := e.zip.closeEntry(); err != nil {
		return err
	}
	e.files++
	return nil
}

func (e *exporter) add(ctx context.Context, p []byte, report bool) error {
	if e.failAfter > 0 && e.bytes+int64(len(p)) > e.failAfter {
		return errZipFailed
	}
	if _, err := e.zip.Write(p); err != nil {
		return err
	}
	e.bytes += int64(len(p))
	if report {
		if err := e.report(); err != nil {
			return err
		}
	}
	return e.pace(ctx, len(p))
}
