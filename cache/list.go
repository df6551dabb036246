package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"downloadfs/download"
)

// List returns what [Cache.List] does for the cache in dir, without opening it. It takes
// no lock and changes nothing, so another process may use the cache meanwhile. What that
// one has fetched in the last seconds may be missing.
func List(dir string, log *slog.Logger) ([]Info, error) {
	d := &disk{dir: dir}
	records, err := readIndex(d.index(), log)
	if err != nil {
		return nil, fmt.Errorf("list cache %s: %w", dir, err)
	}
	latest := make(map[download.ID]Info)
	for _, rec := range records {
		if !belongs(rec.name, rec.meta.info.ID) {
			continue
		}
		if _, err := os.Stat(d.path(rec.name)); err != nil {
			continue // it was evicted, and the index is written a little later
		}
		i := Info{ArchiveInfo: rec.meta.info, Cached: rec.cached(), UsedAt: rec.meta.used}
		if other, ok := latest[i.ID]; i.Cached > 0 && (!ok || i.UsedAt.After(other.UsedAt)) {
			latest[i.ID] = i
		}
	}
	infos := make([]Info, 0, len(latest))
	for _, i := range latest {
		infos = append(infos, i)
	}
	sortInfos(infos)
	return infos, nil
}

// cached returns how many bytes the record claims.
func (r *record) cached() (n int64) {
	for num, ch := range r.chunks {
		for i := range ch.top() {
			if ch.has(i) {
				n += int64(blockLen(r.meta.info.Size, int(num)*chunkBlocks+i))
			}
		}
	}
	return n
}

// readIndex returns every record of an index that another process may be writing. It
// reads a copy: bbolt itself would wait for that process to end.
func readIndex(path string, log *slog.Logger) (map[string]*record, error) {
	text, err := readStill(path)
	if err != nil || len(text) == 0 {
		return nil, err
	}
	f, err := os.CreateTemp("", "downloadfs-index-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(text); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	x := &index{path: path}
	if err := x.guard(func() (err error) {
		x.db, err = bolt.Open(f.Name(), 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second, NoStatistics: true})
		return err
	}); err != nil {
		return nil, fmt.Errorf("open index: %w: %w", errIndex, err)
	}
	records, err := x.load(log)
	return records, errors.Join(err, x.close())
}

// The first two pages of a bbolt file lead to all others, and a commit writes one of
// them. It never writes a page that the commit before it leads to.
const (
	leadPages  = 2 * (64 << 10) // of the largest pages there are
	stillTries = 20
	stillPause = 20 * time.Millisecond
)

// readStill returns what a bbolt file holds between two commits.
func readStill(path string) ([]byte, error) {
	for range stillTries {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		again, err := readStart(path, leadPages)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(text, again) {
			return text, nil
		}
		time.Sleep(stillPause)
	}
	return nil, fmt.Errorf("%w: it is written all the time; try again", errIndex)
}

// readStart returns the first n bytes of a file, or all if it has fewer.
func readStart(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}
