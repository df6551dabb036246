package fs

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"go.yaml.in/yaml/v3"

	"downloadfs/download"
)

const (
	statusName     = "status"
	statusJSONName = "status.json"
)

// statusNode is status or status.json.
type statusNode struct {
	memberNode
	render func(status) []byte
}

var _ fusefs.NodeOpener = (*statusNode)(nil)

func newStatusNode(f *filesystem, d item, k kind) *statusNode {
	n := &statusNode{memberNode: memberNode{node{fs: f}, d}, render: statusYAML}
	if k == kindStatusJSON {
		n.render = statusJSON
	}
	n.self = n
	return n
}

// attributes reports the size that the text has now: copy_file_range(2) and many
// tools read no further.
func (n *statusNode) attributes() attributes {
	s := n.item.Snapshot()
	return attributes{
		mode: n.fs.fileMode(), nlink: 1, size: int64(len(n.text(s))),
		created: n.fs.when(s.CreatedAt), changed: n.fs.when(s.ChangedAt),
		entry: settled,
	}
}

// Open fixes the text. The text is read directly and not through the page cache,
// which belongs to the inode and would mix the texts of two handles. Open does not
// wait for the server, but the next look finds the text up to date.
func (n *statusNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writing(flags) {
		return nil, 0, syscall.EACCES
	}
	n.item.Look()
	if n.fs.contents != nil {
		work, stop := n.fs.interruptible(ctx)
		defer stop()
		n.fs.contents.of(n.item).count(work)
	}
	return textHandle{n.text(n.item.Snapshot())}, fuse.FOPEN_DIRECT_IO, 0
}

// text returns what the file holds.
func (n *statusNode) text(s download.Snapshot) []byte {
	out := newStatus(s)
	if n.fs.contents != nil {
		out.tell(n.fs.contents.of(n.item).told())
	}
	return n.render(out)
}

// status is what both forms show, in this order.
type status struct {
	ID          download.ID     `json:"id" yaml:"id"`
	Name        string          `json:"name" yaml:"name"`
	Status      download.Status `json:"status" yaml:"status"`
	Error       string          `json:"error,omitempty" yaml:"error,omitempty"`
	BytesAdded  int64           `json:"bytesAdded" yaml:"bytesAdded"`
	TotalBytes  int64           `json:"totalBytes" yaml:"totalBytes"`
	FilesAdded  int64           `json:"filesAdded" yaml:"filesAdded"`
	TotalFiles  int64           `json:"totalFiles" yaml:"totalFiles"`
	Folders     int             `json:"foldersWalked,omitempty" yaml:"foldersWalked,omitempty"`
	Nodes       int             `json:"nodesWalked,omitempty" yaml:"nodesWalked,omitempty"`
	Parts       int             `json:"parts,omitempty" yaml:"parts,omitempty"`
	PartsDone   *int            `json:"partsDone,omitempty" yaml:"partsDone,omitempty"`
	PartRunning int             `json:"partRunning,omitempty" yaml:"partRunning,omitempty"`
	ArchiveName string          `json:"archiveName,omitempty" yaml:"archiveName,omitempty"`
	ArchiveSize *int64          `json:"archiveSize,omitempty" yaml:"archiveSize,omitempty"`
	Entries     *int            `json:"entries,omitempty" yaml:"entries,omitempty"`
	Contents    string          `json:"contentsError,omitempty" yaml:"contentsError,omitempty"`
	CachedBytes int64           `json:"cachedBytes" yaml:"cachedBytes"`
	CreatedAt   time.Time       `json:"createdAt,omitzero" yaml:"createdAt,omitempty"`
	BegunAt     time.Time       `json:"begunAt,omitzero" yaml:"begunAt,omitempty"`
	ChangedAt   time.Time       `json:"changedAt,omitzero" yaml:"changedAt,omitempty"`
	Silent      time.Time       `json:"noAnswerSince,omitzero" yaml:"noAnswerSince,omitempty"`
}

func newStatus(s download.Snapshot) status {
	out := status{
		ID:          s.ID,
		Name:        line(s.Name),
		Status:      s.Status,
		BytesAdded:  s.BytesAdded,
		TotalBytes:  s.TotalBytes,
		FilesAdded:  s.FilesAdded,
		TotalFiles:  s.TotalFiles,
		CachedBytes: s.CachedBytes,
		CreatedAt:   s.CreatedAt.UTC().Truncate(time.Second),
		BegunAt:     s.BegunAt.UTC().Truncate(time.Second),
		ChangedAt:   s.ChangedAt.UTC().Truncate(time.Second),
		Silent:      s.NoAnswerSince.UTC().Truncate(time.Second),
	}
	out.Folders, out.Nodes = s.Parts.Looked.Folders, s.Parts.Looked.Nodes
	if s.Parts.Total > 0 {
		out.Parts, out.PartsDone, out.PartRunning = s.Parts.Total, &s.Parts.Done, s.Parts.Running
	}
	if s.Err != nil {
		out.Error = line(s.Err.Error())
	}
	if s.Archive.Size > 0 || s.Status == download.StatusDone || s.Ready {
		out.ArchiveName = line(s.Archive.Name)
		out.ArchiveSize = &s.Archive.Size
	}
	return out
}

// tell adds what is known about the archive's contents.
func (s *status) tell(entries int, err error) {
	if err != nil {
		s.Contents = line(err.Error())
	}
	if entries >= 0 {
		s.Entries = &entries
	}
}

// maxLine is how many characters of a server's text are shown.
const maxLine = 1000

// line turns a text that a server may have composed into one printable line. It shows
// an escape for what would move a terminal's cursor.
func line(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if n++; n > maxLine {
			b.WriteRune('…')
			break
		}
		if strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// statusYAML writes one `key: value` per line. Marshalling a struct of strings and
// numbers cannot fail.
func statusYAML(s status) []byte {
	text, _ := yaml.Marshal(s)
	return text
}

func statusJSON(s status) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(s)
	return b.Bytes()
}
