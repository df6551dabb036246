package download

import (
	"context"
	"time"
)

// Nodes tells of the files and folders of a repository. Its methods block and fail as
// those of a [Service] do, and are safe for concurrent use.
type Nodes interface {
	// Node returns the node with the id.
	Node(ctx context.Context, id NodeID) (Node, error)
	// Children returns the children of a folder that the user may read, in the order in
	// which they were added. It returns a page of at most 1,000 after the first skip,
	// and whether there are more.
	Children(ctx context.Context, folder NodeID, skip int) (page []Node, more bool, err error)
}

// Node is a file or folder of the repository.
type Node struct {
	ID     NodeID
	Name   string
	Folder bool
	// Size is the size of a file's content in bytes.
	Size int64
	// ModifiedAt is zero if the server did not say.
	ModifiedAt time.Time
}

// MaxZipEntry is the size of the largest file that a server can zip. A larger file ends
// the zip without a word: the download stays as it is for ever.
const MaxZipEntry = 1<<32 - 2

const (
	// maxMeasured is how many nodes a list may have to be looked up before the server
	// is asked for it: few, since each is a request, and people ask for large files one
	// by one.
	maxMeasured = 8
	// measureTimeout bounds how long the lookup delays the request.
	measureTimeout = 2 * time.Second
)

// checkSizes reports ErrTooLarge for a node that the server would fail on. It lets pass
// what it cannot find out in a moment: the server judges.
func (m *Manager) checkSizes(nodes []NodeID) error {
	if m.nodes == nil || m.partSize >= 0 || len(nodes) > maxMeasured {
		return nil
	}
	ctx, cancel := context.WithTimeout(m.ctx, measureTimeout)
	defer cancel()
	found := make(chan error, len(nodes))
	for _, id := range nodes {
		go func() { found <- m.checkSize(ctx, id) }()
	}
	var tooLarge error
	for range nodes {
		if err := <-found; err != nil {
			tooLarge = err
		}
	}
	return tooLarge
}

func (m *Manager) checkSize(ctx context.Context, id NodeID) error {
	var n Node
	err := m.call("measure", "", func() (err error) {
		n, err = m.nodes.Node(ctx, id.Bare())
		return err
	})
	if err != nil {
		m.log.Debug("size of a node not known", "op", "measure", "node", id, "err", err)
		return nil
	}
	if n.Folder || n.Size <= m.maxFile {
		return nil
	}
	return Because(ErrTooLarge, "create download: the file %q has %d bytes, and an Alfresco server cannot zip a file of 4 GiB or more", n.Name, n.Size)
}
