package repository

import (
	"context"
	"io"
	"slices"
)

// visitor handles each node of an export. name is the node's path in the zip.
type visitor interface {
	folder(ctx context.Context, n node, name string) error
	file(ctx context.Context, n node, name string) error
}

// export calls v for the nodes at paths and everything below them that a may read.
// The order is the zip's: a folder comes before its content, and in it the files come
// first. Nodes that a may not read, or that are gone, are left out silently.
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

// estimator adds up what an export will contain.
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
	// copyBuffer and buffersPerUpdate are the real exporter's. It reports, and checks
	// whether it is cancelled, at the first 20 KB of every file and then at every
	// 500th buffer (10 MB).
	copyBuffer       = 20480
	buffersPerUpdate = 500
)

// exporter zips the nodes that it is called with.
type exporter struct {
	tree *tree
	zip  *zipStream
	buf  []byte
	// report publishes the counters. Its error stops the export.
	report func() error
	// pace limits the export to its rate. It is called after each n bytes.
	pace func(ctx context.Context, n int) error
	// failAfter ends the export with errZipFailed after that many bytes. 0 means
	// never.
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
