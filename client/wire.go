package client

import (
	"encoding/json"
	"regexp"
	"time"

	"downloadfs/download"
)

// The wire types of the calls in use. Pointers distinguish missing from zero.
type (
	createRequest struct {
		NodeIDs []download.NodeID `json:"nodeIds"`
	}

	ticketRequest struct {
		UserID   string `json:"userId"`
		Password string `json:"password"`
	}

	ticketEntry struct {
		ID string `json:"id"`
	}

	downloadEntry struct {
		ID         string `json:"id"`
		Status     string `json:"status"`
		BytesAdded int64  `json:"bytesAdded"`
		TotalBytes int64  `json:"totalBytes"`
		FilesAdded int64  `json:"filesAdded"`
		TotalFiles int64  `json:"totalFiles"`
	}

	nodeEntry struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		IsFolder   bool   `json:"isFolder"`
		ModifiedAt string `json:"modifiedAt"`
		Content    *struct {
			SizeInBytes *int64 `json:"sizeInBytes"`
		} `json:"content"`
	}

	childList struct {
		List *struct {
			Pagination struct {
				HasMoreItems bool `json:"hasMoreItems"`
			} `json:"pagination"`
			Entries []struct {
				Entry *nodeEntry `json:"entry"`
			} `json:"entries"`
		} `json:"list"`
	}
)

// statusWord is the form of the server's states. Other text is never repeated to
// anybody. Package download knows which states there are.
var statusWord = regexp.MustCompile(`^[A-Z_]{1,40}$`)

// ticketForm matches the only tickets that are ever sent back.
var ticketForm = regexp.MustCompile(`^TICKET_[!-~]{1,256}$`)

// decodeEntry reads {"entry": …}, the form of every answer about one thing.
func decodeEntry[T any](body []byte) (*T, *failure) {
	var wire struct {
		Entry *T `json:"entry"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Entry == nil {
		return nil, protocolFailure("the answer is not one of Alfresco's; check the server URL")
	}
	return wire.Entry, nil
}

// decodeDownload reads the answer of GET and POST /downloads.
func decodeDownload(body []byte) (download.Progress, *failure) {
	e, f := decodeEntry[downloadEntry](body)
	if f != nil {
		return download.Progress{}, f
	}
	id, err := download.ParseID(e.ID)
	if err != nil {
		return download.Progress{}, protocolFailure("the server names a download %s", e.ID)
	}
	if !statusWord.MatchString(e.Status) {
		return download.Progress{}, protocolFailure("the server says that download %s has the status %s", id, e.Status)
	}
	return download.Progress{
		ID: id, Status: download.Status(e.Status),
		BytesAdded: e.BytesAdded, TotalBytes: e.TotalBytes,
		FilesAdded: e.FilesAdded, TotalFiles: e.TotalFiles,
	}, nil
}

// decodeNode reads the id of a node.
func decodeNode(body []byte) (download.NodeID, *failure) {
	e, f := decodeEntry[nodeEntry](body)
	if f != nil {
		return "", f
	}
	id, err := download.ParseID(e.ID)
	if err != nil {
		return "", protocolFailure("the server names a node %s", e.ID)
	}
	return download.NodeID(id), nil
}

// node returns the file or folder that the entry describes. A file may have no content.
func (e *nodeEntry) node() (download.Node, *failure) {
	id, err := download.ParseID(e.ID)
	if err != nil {
		return download.Node{}, protocolFailure("the server names a node %s", e.ID)
	}
	n := download.Node{ID: download.NodeID(id), Name: e.Name, Folder: e.IsFolder, ModifiedAt: parseTime(e.ModifiedAt)}
	if e.Content != nil && e.Content.SizeInBytes != nil && !e.IsFolder {
		if n.Size = *e.Content.SizeInBytes; n.Size < 0 {
			return download.Node{}, protocolFailure("the server says that node %s has %d bytes", id, n.Size)
		}
	}
	return n, nil
}

// decodeChildren reads a page of a folder's children.
func decodeChildren(body []byte, skip int) (page []download.Node, more bool, f *failure) {
	var wire childList
	if err := json.Unmarshal(body, &wire); err != nil || wire.List == nil || len(wire.List.Entries) > pageSize {
		return nil, false, protocolFailure("the answer is not a page of a folder's children")
	}
	for _, e := range wire.List.Entries {
		if e.Entry == nil {
			return nil, false, protocolFailure("a folder's child is missing from its page")
		}
		n, f := e.Entry.node()
		if f != nil {
			return nil, false, f
		}
		page = append(page, n)
	}
	more = wire.List.Pagination.HasMoreItems
	if more && len(page) == 0 {
		return nil, false, protocolFailure("the server gives no children after the first %d, and says that there are more", skip)
	}
	return page, more, nil
}

// decodeArchive reads the node of download id as its archive.
func decodeArchive(id download.ID, body []byte) (download.ArchiveInfo, *failure) {
	e, f := decodeEntry[nodeEntry](body)
	switch {
	case f != nil:
		return download.ArchiveInfo{}, f
	case e.ID != string(id):
		return download.ArchiveInfo{}, protocolFailure("the server answers for node %s instead of %s", e.ID, id)
	case e.Content == nil || e.Content.SizeInBytes == nil:
		// Before DONE the node has no content.
		return download.ArchiveInfo{}, &failure{kind: download.ErrNotReady, lasting: true}
	case *e.Content.SizeInBytes < 0:
		return download.ArchiveInfo{}, protocolFailure("the server says that the archive has %d bytes", *e.Content.SizeInBytes)
	}
	return download.ArchiveInfo{
		ID: id, Name: e.Name, Size: *e.Content.SizeInBytes, ModifiedAt: parseTime(e.ModifiedAt),
	}, nil
}

// decodeTicket reads the answer of POST /tickets.
func decodeTicket(body []byte) (string, *failure) {
	e, f := decodeEntry[ticketEntry](body)
	if f != nil {
		return "", f
	}
	if !ticketForm.MatchString(e.ID) {
		return "", protocolFailure("the server's ticket is not one of Alfresco's")
	}
	return e.ID, nil
}

// parseTime reads Alfresco's times, whose zone has no colon. It returns zero if it
// cannot.
func parseTime(s string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05.999999999Z0700", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
