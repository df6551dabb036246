package share

import (
	"context"
	"io"

	"downloadfs/download"
)

// NoServer stands for the content server of a mount that has none: everything comes
// from the store. It can be asked for nothing.
type NoServer struct{}

var (
	_ download.Service = NoServer{}
	_ download.Source  = NoServer{}
)

func noServer() error {
	return download.Because(download.ErrForbidden, "this mount has no content server, it only reads what others have put into the share")
}

// Check implements download.Service.
func (NoServer) Check(context.Context) error { return nil }

// Create implements download.Service.
func (NoServer) Create(context.Context, []download.NodeID) (download.Progress, error) {
	return download.Progress{}, noServer()
}

// Get implements download.Service: it knows no download.
func (NoServer) Get(context.Context, download.ID) (download.Progress, error) {
	return download.Progress{}, download.Because(download.ErrNotFound, "it is not in the share")
}

// Cancel implements download.Service.
func (NoServer) Cancel(context.Context, download.ID) error { return download.ErrNotFound }

// Delete implements download.Service.
func (NoServer) Delete(context.Context, download.ID) error { return download.ErrNotFound }

// Archive implements download.Service.
func (NoServer) Archive(context.Context, download.ID) (download.ArchiveInfo, error) {
	return download.ArchiveInfo{}, download.Because(download.ErrNotFound, "it is not in the share")
}

// Resolve implements download.Service.
func (NoServer) Resolve(context.Context, string) (download.NodeID, error) { return "", noServer() }

// Stream implements download.Source.
func (NoServer) Stream(context.Context, download.ArchiveInfo, int64, int64) (io.ReadCloser, error) {
	return nil, download.Because(download.ErrUnavailable, "the archive is not in the share, or the share cannot be reached")
}
