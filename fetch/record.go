package fetch

import (
	"encoding/json"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"

	"downloadfs/download"
)

// Record remembers a try so that the next one can resume it. A record without a file
// lasts for one try only.
type Record struct {
	path string // "" keeps nothing
	data recordData
}

type recordData struct {
	ID   download.ID `json:"id"`
	Part string      `json:"part,omitempty"`
	Size int64       `json:"size,omitempty"`
}

// OpenRecord reads the record at path. A record that cannot be read is empty.
func OpenRecord(path string) *Record {
	r := &Record{path: path}
	if text, err := os.ReadFile(path); err == nil && json.Unmarshal(text, &r.data) != nil {
		r.data = recordData{}
	}
	return r
}

// ID returns the download of the earlier try, or "".
func (r *Record) ID() download.ID { return r.data.ID }

// Set starts a record.
func (r *Record) Set(id download.ID) error {
	r.data = recordData{ID: id}
	return r.save()
}

// Has reports whether part has the beginning of this archive.
func (r *Record) Has(a download.ArchiveInfo, part string) bool {
	return r.data == recordData{ID: a.ID, Part: part, Size: a.Size}
}

// SetPart notes that part has the beginning of this archive.
func (r *Record) SetPart(a download.ArchiveInfo, part string) error {
	r.data = recordData{ID: a.ID, Part: part, Size: a.Size}
	return r.save()
}

// Remove forgets the try and removes what it left.
func (r *Record) Remove() error {
	var errs []error
	for _, path := range []string{r.data.Part, r.path} {
		if path == "" {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	r.data = recordData{}
	return errors.Join(errs...)
}

func (r *Record) save() error {
	if r.path == "" {
		return nil
	}
	text, err := json.Marshal(r.data)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	temp := r.path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, r.path)
}
