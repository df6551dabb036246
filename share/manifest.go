package share

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"downloadfs/download"
)

// maxManifest bounds the object that says what an archive is.
const maxManifest = 16 << 10

// manifest says what an archive is whose pieces are all in the store.
type manifest struct {
	V          int         `json:"v"`
	Account    string      `json:"account"`
	ID         download.ID `json:"id"`
	Name       string      `json:"name"`
	Size       int64       `json:"size"`
	ModifiedAt time.Time   `json:"modifiedAt,omitzero"`
	BytesAdded int64       `json:"bytesAdded"`
	TotalBytes int64       `json:"totalBytes"`
	FilesAdded int64       `json:"filesAdded"`
	TotalFiles int64       `json:"totalFiles"`
}

const manifestVersion = 1

// manifest reads an archive's manifest. It returns fs.ErrNotExist if the archive is not
// whole in the store, and errDamaged if nothing can be told from it.
func (s *Share) manifest(ctx context.Context, id download.ID) (manifest, error) {
	p, err := s.store.read(ctx, doneKey(id), maxManifest)
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(p, s.cfg.Account, id)
}

// encode returns m as it is stored: a line of JSON and one with its sum.
func (m *manifest) encode() ([]byte, error) {
	p, err := json.Marshal(m)
	return fmt.Appendf(p, "\n%08x\n", sum(p)), err
}

func decodeManifest(p []byte, account string, id download.ID) (m manifest, err error) {
	text, tail, _ := bytes.Cut(p, []byte("\n"))
	switch err := json.Unmarshal(text, &m); {
	case err != nil, string(tail) != fmt.Sprintf("%08x\n", sum(text)):
		return manifest{}, fmt.Errorf("manifest: %w", errDamaged)
	case m.V != manifestVersion:
		return manifest{}, fmt.Errorf("manifest: version %d is unknown: %w", m.V, errDamaged)
	case m.Account != account, m.ID != id:
		return manifest{}, fmt.Errorf("manifest: it is of another archive: %w", errDamaged)
	case m.Size <= 0, m.Size > maxBlocks*blockSize, min(m.BytesAdded, m.TotalBytes, m.FilesAdded, m.TotalFiles) < 0:
		return manifest{}, fmt.Errorf("manifest: its numbers are impossible: %w", errDamaged)
	}
	return m, nil
}

// info returns the archive that m describes.
func (m *manifest) info() download.ArchiveInfo {
	return download.ArchiveInfo{ID: m.ID, Name: m.Name, Size: m.Size, ModifiedAt: m.ModifiedAt}
}

// done returns the download's last state.
func (m *manifest) done() download.Progress {
	return download.Progress{ID: m.ID, Status: download.StatusDone,
		BytesAdded: m.BytesAdded, TotalBytes: m.TotalBytes, FilesAdded: m.FilesAdded, TotalFiles: m.TotalFiles}
}

// of reports whether m describes the archive that the content server has.
func (m *manifest) of(info download.ArchiveInfo) bool {
	known, have := unixSeconds(info.ModifiedAt), unixSeconds(m.ModifiedAt)
	return m.ID == info.ID && m.Size == info.Size &&
		(known == 0 || have == 0 || max(known-have, have-known) <= 1)
}
