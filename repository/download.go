package repository

import (
	"sync"
	"time"
)

// The states a download has.
const (
	statusPending    = "PENDING"
	statusInProgress = "IN_PROGRESS"
	statusDone       = "DONE"
	statusCancelled  = "CANCELLED"
	statusTooLarge   = "MAX_CONTENT_SIZE_EXCEEDED"
)

// download is a download node. The mutex of its [downloads] guards its fields. The
// first group never changes.
type download struct {
	id      string
	owner   string
	name    string   // of the zip
	paths   []string // of the nodes asked for
	created time.Time

	modified    time.Time
	status      string
	bytesAdded  int64
	totalBytes  int64
	filesAdded  int64
	totalFiles  int64
	size        int64 // of the zip, known when DONE
	cancelAsked bool
	gone        bool // deleted: every call with the id gets a 404

	saving sync.Mutex // held while the record is written; taken before downloads.mu
}

// progressJSON is the download as the API shows it, with exactly these six
// properties.
type progressJSON struct {
	ID         string `json:"id"`
	Status     string `json:"status"`
	BytesAdded int64  `json:"bytesAdded"`
	TotalBytes int64  `json:"totalBytes"`
	FilesAdded int64  `json:"filesAdded"`
	TotalFiles int64  `json:"totalFiles"`
}

func (d *download) progress() progressJSON {
	return progressJSON{d.id, d.status, d.bytesAdded, d.totalBytes, d.filesAdded, d.totalFiles}
}

func (d *download) mayAccess(a *account) bool { return a.admin || d.owner == a.name }
