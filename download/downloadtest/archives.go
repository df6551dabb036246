package downloadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"downloadfs/download"
)

// Archives keeps archives in memory, whole or not at all. It is as simple as possible:
// the first read of an archive fetches all of it.
type Archives struct {
	// Limit is the Limit that Usage returns; 0 means 1 GiB.
	Limit int64

	source download.Source

	mu         sync.Mutex // guards all below
	data       map[download.ID][]byte
	of         map[download.ID]download.ArchiveInfo // what was fetched
	prefetched []download.ID
	dropped    []download.ID
	open       int
}

var _ download.Archives = (*Archives)(nil)

// NewArchives returns empty archives that read from source.
func NewArchives(source download.Source) *Archives {
	return &Archives{source: source, data: make(map[download.ID][]byte), of: make(map[download.ID]download.ArchiveInfo)}
}

// Put makes an archive complete, as if it were on disk.
func (a *Archives) Put(id download.ID, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data[id] = data
}

// Prefetched returns the archives that Prefetch was called for, in order.
func (a *Archives) Prefetched() []download.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]download.ID(nil), a.prefetched...)
}

// Dropped returns the archives that were dropped, in order.
func (a *Archives) Dropped() []download.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]download.ID(nil), a.dropped...)
}

// OpenHandles returns how many handles are open.
func (a *Archives) OpenHandles() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

// Open implements download.Archives. It forgets what it has of an archive that is
// another by now.
func (a *Archives) Open(info download.ArchiveInfo) (download.Archive, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, ok := a.of[info.ID]; ok && (old.Size != info.Size || !old.ModifiedAt.Equal(info.ModifiedAt)) {
		delete(a.data, info.ID)
		delete(a.of, info.ID)
	}
	a.open++
	return &archive{owner: a, info: info, data: a.data[info.ID]}, nil
}

// Prefetch implements download.Archives. It only notes the call: the fake has no
// background. Fetch does the fetching.
func (a *Archives) Prefetch(info download.ArchiveInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prefetched = append(a.prefetched, info.ID)
}

// Fetch makes an archive complete.
func (a *Archives) Fetch(ctx context.Context, info download.ArchiveInfo) error {
	data, err := a.fetch(ctx, info)
	if err == nil {
		a.keep(info, data)
	}
	return err
}

func (a *Archives) keep(info download.ArchiveInfo, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.data[info.ID], a.of[info.ID] = data, info
}

func (a *Archives) fetch(ctx context.Context, info download.ArchiveInfo) ([]byte, error) {
	if info.Size == 0 {
		return []byte{}, nil
	}
	r, err := a.source.Stream(ctx, info, 0, info.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) != info.Size {
		err = fmt.Errorf("fetch %s: %w", info.ID, io.ErrUnexpectedEOF)
	}
	return data, err
}

// Cached implements download.Archives.
func (a *Archives) Cached(id download.ID) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.data[id]))
}

// Complete implements download.Archives.
func (a *Archives) Complete(id download.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.data[id] != nil
}

// Sync implements download.Archives. It does nothing: nothing in memory survives a
// crash.
func (a *Archives) Sync(context.Context, download.ID) error { return nil }

// Drop implements download.Archives.
func (a *Archives) Drop(id download.ID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dropped = append(a.dropped, id)
	delete(a.data, id)
	delete(a.of, id)
	return nil
}

// Usage implements download.Archives.
func (a *Archives) Usage() download.Usage {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := download.Usage{Limit: a.Limit}
	if u.Limit == 0 {
		u.Limit = 1 << 30
	}
	for _, data := range a.data {
		u.Used += int64(len(data))
	}
	u.Free = max(u.Limit-u.Used, 0)
	return u
}

type archive struct {
	owner *Archives
	info  download.ArchiveInfo

	mu     sync.Mutex // guards all below
	data   []byte     // nil until fetched
	wrong  error      // that the archive changed; no read succeeds after it
	closed bool
}

// ReadAt implements download.Archive.
func (h *archive) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, os.ErrClosed
	}
	if h.wrong != nil {
		return 0, h.wrong
	}
	if h.data == nil {
		data, err := h.owner.fetch(ctx, h.info)
		if errors.Is(err, download.ErrChanged) {
			h.wrong = err
		}
		if err != nil {
			return 0, err
		}
		h.data = data
		h.owner.keep(h.info, data)
	}
	if off >= int64(len(h.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// File implements download.Archive: there is no file in memory.
func (h *archive) File(int64, int64) (*os.File, bool) { return nil, false }

// Close implements download.Archive.
func (h *archive) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return os.ErrClosed
	}
	h.closed = true
	h.owner.mu.Lock()
	defer h.owner.mu.Unlock()
	h.owner.open--
	return nil
}
