package download

import (
	"context"
	"io"
	"time"
)

// Status is the state of a download, in Alfresco's words except for EXPIRED.
type Status string

// The states. A download goes PENDING → IN_PROGRESS → one of the others. All but
// EXPIRED are the server's (org.alfresco.service.cmr.download.DownloadStatus).
const (
	StatusPending    Status = "PENDING"
	StatusInProgress Status = "IN_PROGRESS"
	StatusDone       Status = "DONE"
	StatusCancelled  Status = "CANCELLED"
	StatusTooLarge   Status = "MAX_CONTENT_SIZE_EXCEEDED"
	// StatusExpired is ours: the server knew the download once and now answers 404.
	StatusExpired Status = "EXPIRED"
)

// Ended reports whether waiters need not wait any longer in this state.
func (s Status) Ended() bool {
	switch s {
	case StatusDone, StatusCancelled, StatusTooLarge, StatusExpired:
		return true
	}
	return false
}

// Progress is what the server tells of a download: exactly its six fields. The byte
// counters count the uncompressed content of files, in bytes; they are not the size of
// the zip. With StatusTooLarge, BytesAdded is the server's limit and TotalBytes the
// size that was asked for.
type Progress struct {
	ID         ID
	Status     Status
	BytesAdded int64
	TotalBytes int64
	FilesAdded int64
	TotalFiles int64
}

// ArchiveInfo names one finished, immutable archive.
type ArchiveInfo struct {
	ID ID
	// Node is the node whose content the bytes are; empty for the content of ID.
	Node NodeID
	// Name is the file name that the server gives the zip, for example
	// "report.pdf.zip".
	Name string
	// Size is the zip's size in bytes.
	Size int64
	// ModifiedAt is when the server finished it; zero if it did not say.
	ModifiedAt time.Time
}

// Content returns the node whose content the archive is.
func (a ArchiveInfo) Content() NodeID {
	if a.Node != "" {
		return a.Node
	}
	return NodeID(a.ID)
}

// Service is a content server's downloads. All methods block until the server answers,
// the implementation's retry budget is used up or ctx ends. They are safe for
// concurrent use. Errors wrap the package's sentinels, or ctx.Err(), and begin with
// verb and subject ("resolve /a/b: …") or are a sentence about the subject, so callers
// do not add them. An error that knows
// more than its sentinel has a method Reason() string that returns that in words for
// people.
//
// ErrNotFound is the server's own word. While a server starts up, Tomcat or a gateway
// in front of it answers 404 to everything; the implementation must not believe that.
// The answer may still come from a node of a cluster that is behind the others. The
// Manager has it confirmed for Get, Cancel and Delete, the implementation for the other
// methods.
//
// Servers lock accounts that fail to log in too often. The implementation prevents
// that: it answers ErrUnauthorized by itself for a while. Callers may ask as often as
// they like.
type Service interface {
	// Check reports whether the server answers and accepts the credentials.
	Check(ctx context.Context) error
	// Create asks for a zip of nodes. It is sent once: a lost answer is ErrUncertain,
	// and a 500 of the server itself is ErrServerFailed.
	Create(ctx context.Context, nodes []NodeID) (Progress, error)
	// Get returns the download's progress. It returns ErrNotFound when the download is
	// gone, and ErrInvalid when id is a node of another kind.
	Get(ctx context.Context, id ID) (Progress, error)
	// Cancel asks the server to stop zipping. The server does so a little later, or not
	// at all. It returns ErrNotFound when the download is gone.
	Cancel(ctx context.Context, id ID) error
	// Delete removes the download node and its zip for good. It returns ErrNotFound
	// when the download is gone already.
	Delete(ctx context.Context, id ID) error
	// Archive describes the zip of a DONE download.
	Archive(ctx context.Context, id ID) (ArchiveInfo, error)
	// Resolve returns the node at a repository path such as "/Sites/x/a.txt" or
	// "-my-/a.txt". It returns ErrNotFound also when the user may not read the node.
	Resolve(ctx context.Context, path string) (NodeID, error)
}

// Source streams ranges of finished archives.
type Source interface {
	// Stream opens bytes [off, end) of the archive, 0 <= off < end <= a.Size. It blocks
	// until the first byte is at hand. The reader yields exactly end-off bytes and then
	// io.EOF. If it yields fewer, it ends with an error that wraps io.ErrUnexpectedEOF
	// or a sentinel; the caller then goes on with a new Stream from the byte it
	// reached. The reader never passes on an answer about other bytes or another total
	// size (ErrChanged). Cancelling ctx ends the stream, also in the middle of a Read.
	Stream(ctx context.Context, a ArchiveInfo, off, end int64) (io.ReadCloser, error)
}
