package download

import (
	"errors"
	"fmt"
	"time"

	"downloadfs/download/journal"
)

// The journal's records, one kind per bucket.

const (
	recordVersion = 1
	// maxRecordBytes bounds a download's or removal's record.
	maxRecordBytes = 16 << 10
	// maxNodesBytes bounds a record of node ids. A list of MaxListBytes holds at
	// most a million shortest paths, each resolved to a UUID.
	maxNodesBytes = 128 << 20
)

// downloadRecord is what the journal keeps of a download and may change. The nodes have
// a record of their own.
type downloadRecord struct {
	V          int            `json:"v"`
	ID         ID             `json:"id"`
	Name       string         `json:"name,omitempty"` // the alias, if there is one
	Status     Status         `json:"status"`
	BytesAdded int64          `json:"bytesAdded"`
	TotalBytes int64          `json:"totalBytes"`
	FilesAdded int64          `json:"filesAdded"`
	TotalFiles int64          `json:"totalFiles"`
	Archive    *archiveRecord `json:"archive,omitempty"`
	CreatedAt  time.Time      `json:"createdAt"`
	ChangedAt  time.Time      `json:"changedAt"`
	// Cancelled: by us, so the server's status no longer counts.
	Cancelled bool `json:"cancelled,omitempty"`
	// Settled: the server will say nothing new about it.
	Settled bool `json:"settled,omitempty"`
	// Dropped: the user threw the local copy away; do not fetch it unasked.
	Dropped bool `json:"dropped,omitempty"`
	// PartLimit is the most content that a part has, if the download is got in parts.
	PartLimit int64 `json:"partLimit,omitempty"`
}

type archiveRecord struct {
	Name       string    `json:"name"`
	Size       int64     `json:"size"`
	ModifiedAt time.Time `json:"modifiedAt,omitzero"`
}

// nodesRecord is separate from the download's record: it can be large and never
// changes.
type nodesRecord struct {
	V     int      `json:"v"`
	Nodes []NodeID `json:"nodeIds"`
}

// removalRecord is what the server still has to do for one download.
type removalRecord struct {
	V  int `json:"v"`
	ID ID  `json:"id"`
	// Cancel: it may still be running.
	Cancel bool `json:"cancel,omitempty"`
	// Delete: the entry is gone, so the node goes too.
	Delete bool `json:"delete,omitempty"`
}

func decodeDownload(b []byte) (downloadRecord, error) {
	var r downloadRecord
	if err := journal.Decode(b, maxRecordBytes, &r); err != nil {
		return downloadRecord{}, err
	}
	if r.V != recordVersion {
		return downloadRecord{}, fmt.Errorf("record version %d is unknown", r.V)
	}
	if err := checkProgress(r.progress(), r.ID); err != nil {
		return downloadRecord{}, err
	}
	if r.Name != "" && checkName(r.Name, r.ID) != nil {
		r.Name = "" // another version allowed it, or it is damaged; the download exists all the same
	}
	if r.Archive != nil && (r.Archive.Size < 0 || r.Archive.Name != safeFileName(r.Archive.Name)) {
		return downloadRecord{}, errors.New("archive is impossible")
	}
	if r.Archive == nil && r.Status == StatusDone {
		return downloadRecord{}, errors.New("DONE without an archive")
	}
	if r.PartLimit < 0 {
		return downloadRecord{}, errors.New("limit of parts is impossible")
	}
	if r.Cancelled && r.Status != StatusCancelled {
		return downloadRecord{}, fmt.Errorf("cancelled here, yet %s", r.Status)
	}
	return r, nil
}

func (r *downloadRecord) progress() Progress {
	return Progress{ID: r.ID, Status: r.Status, BytesAdded: r.BytesAdded, TotalBytes: r.TotalBytes,
		FilesAdded: r.FilesAdded, TotalFiles: r.TotalFiles}
}

func decodeNodes(b []byte) ([]NodeID, error) {
	var r nodesRecord
	if err := journal.Decode(b, maxNodesBytes, &r); err != nil {
		return nil, err
	}
	if r.V != recordVersion {
		return nil, fmt.Errorf("record version %d is unknown", r.V)
	}
	for _, n := range r.Nodes {
		if !n.Valid() {
			return nil, fmt.Errorf("node id %.64q is impossible", string(n))
		}
	}
	return r.Nodes, nil
}

func decodeRemoval(b []byte) (removalRecord, error) {
	var r removalRecord
	if err := journal.Decode(b, maxRecordBytes, &r); err != nil {
		return removalRecord{}, err
	}
	if r.V != recordVersion {
		return removalRecord{}, fmt.Errorf("record version %d is unknown", r.V)
	}
	if _, err := ParseID(string(r.ID)); err != nil {
		return removalRecord{}, err
	}
	if !r.Cancel && !r.Delete {
		return removalRecord{}, errors.New("nothing to do")
	}
	return r, nil
}
