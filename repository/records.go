package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	recordSuffix = ".json"
	zipSuffix    = ".zip"
	partSuffix   = ".part"
	deletedFile  = "deleted.json"
)

// record is a download node on disk.
type record struct {
	ID          string    `json:"id"`
	Owner       string    `json:"owner"`
	Name        string    `json:"name"`
	Paths       []string  `json:"paths"`
	Created     time.Time `json:"created"`
	Modified    time.Time `json:"modified"`
	Status      string    `json:"status"`
	BytesAdded  int64     `json:"bytesAdded"`
	TotalBytes  int64     `json:"totalBytes"`
	FilesAdded  int64     `json:"filesAdded"`
	TotalFiles  int64     `json:"totalFiles"`
	Size        int64     `json:"size"`
	CancelAsked bool      `json:"cancelAsked"`
}

// save writes d's record in its current state, or removes the record if d is gone. It
// only logs a failure: the API has no answer for that.
func (ds *downloads) save(d *download) {
	if !ds.keep {
		return
	}
	d.saving.Lock()
	defer d.saving.Unlock()
	ds.mu.Lock()
	gone := d.gone
	r := record{d.id, d.owner, d.name, d.paths, d.created, d.modified, d.status,
		d.bytesAdded, d.totalBytes, d.filesAdded, d.totalFiles, d.size, d.cancelAsked}
	ds.mu.Unlock()
	path := filepath.Join(ds.dir, d.id+recordSuffix)
	var err error
	if gone {
		if err = os.Remove(path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	} else {
		err = writeFileJSON(path, r)
	}
	if err != nil {
		ds.log.Warn("save download", "op", "save", "download", d.id, "err", err)
	}
}

// load reads the records of an earlier run. It removes files without a record,
// because a kill can come between the removal of a record and of its zip. A finished
// download is available again. An unfinished one stays in its state for ever, because
// nobody goes on with it. load leaves files alone that are not the server's.
func (ds *downloads) load() error {
	entries, err := os.ReadDir(ds.dir)
	if err != nil {
		return fmt.Errorf("read downloads: %w", err)
	}
	var zips []string
	for _, e := range entries {
		name, unfinished := strings.CutSuffix(e.Name(), partSuffix)
		ext := filepath.Ext(name)
		id := strings.TrimSuffix(name, ext)
		ours := isDownloadID(id) && (ext == recordSuffix || ext == zipSuffix) || name == deletedFile
		switch {
		case !ours:
		case unfinished:
			if err := os.Remove(filepath.Join(ds.dir, e.Name())); err != nil {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		case ext == zipSuffix:
			zips = append(zips, id)
		case name != deletedFile:
			if err := ds.loadRecord(id); err != nil {
				return fmt.Errorf("read download %s: %w", id, err)
			}
		}
	}
	for _, id := range zips {
		if _, ok := ds.byID[id]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(ds.dir, id+zipSuffix)); err != nil {
			return fmt.Errorf("remove deleted zip: %w", err)
		}
	}
	return nil
}

func (ds *downloads) loadRecord(id string) error {
	var r record
	if err := readFileJSON(filepath.Join(ds.dir, id+recordSuffix), &r); err != nil {
		return err
	}
	ds.byID[id] = &download{id: id, owner: r.Owner, name: r.Name, paths: r.Paths,
		created: r.Created, modified: r.Modified, status: r.Status,
		bytesAdded: r.BytesAdded, totalBytes: r.TotalBytes,
		filesAdded: r.FilesAdded, totalFiles: r.TotalFiles,
		size: r.Size, cancelAsked: r.CancelAsked}
	return nil
}

// isDownloadID reports whether create may have made id.
func isDownloadID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// writeFileJSON replaces the file as a whole. The new file is on the disk before it
// gets its name. After a power failure there is the old file or the new one, but not
// an empty one.
func writeFileJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+partSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+partSuffix, path)
}

func readFileJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
