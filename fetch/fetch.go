package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// Phase is a step of fetching.
type Phase string

// The phases, in order.
const (
	Zipping  Phase = "zipping"  // the server counts and zips
	Fetching Phase = "fetching" // the archive arrives
	Checking Phase = "checking" // what arrived in two goes is read

	// These follow Zipping if the archive is got in parts.
	Assembling Phase = "parts"  // the server zips parts, and they arrive
	Saving     Phase = "saving" // the archive is written from the parts
)

// Event reports progress.
type Event struct {
	Phase Phase
	ID    download.ID
	Name  string // of the archive; "" while zipping
	Done  int64  // bytes of content zipped, or of the archive fetched
	Total int64  // what Done will reach; 0 if not known
	Files int64  // zipped so far
	Of    int64  // files in all

	Parts, OfParts int             // that have arrived, and in all; 0 if it is not got in parts
	Looked         download.Looked // before it is known in how many parts it comes
}

const (
	firstPoll = 100 * time.Millisecond
	longPoll  = 2 * time.Second
	// tellEvery is how often progress is reported while bytes arrive.
	tellEvery = 100 * time.Millisecond
	// maxBreaks is how many times in a row a stream may break without a byte.
	maxBreaks = 5
)

// Fetcher fetches archives from one server.
type Fetcher struct {
	Service download.Service
	Source  download.Source
	// Nodes tells how large files are, so that Download notices one that no zip of the
	// server can hold. It may be nil.
	Nodes download.Nodes
	// PartSize is how much content the server is asked to zip at once. Download fails
	// with ErrTooLarge if it is more. 0 leaves the size to the server; negative also
	// lets the server try files that no zip can hold.
	PartSize int64
	// MaxFile is the largest file that the server is asked to zip; 0 means MaxZipEntry.
	MaxFile int64
	// StallTimeout is how long zipping may make no progress; 0 means forever.
	StallTimeout time.Duration
	// Tell is called with progress, in the caller's goroutine.
	Tell func(Event)
}

// Resolve returns the nodes of a list in order, without repetitions.
func (f *Fetcher) Resolve(ctx context.Context, l download.List) ([]download.NodeID, error) {
	var nodes []download.NodeID
	seen := map[download.NodeID]bool{}
	for _, e := range l.Entries {
		node := e.Node
		if node == "" {
			var err error
			if node, err = f.Service.Resolve(ctx, e.Path); err != nil {
				return nil, err
			}
		}
		if bare := node.Bare(); !seen[bare] {
			seen[bare] = true
			nodes = append(nodes, node)
		}
	}
	return nodes, nil
}

// Download returns a download of nodes that is DONE. It takes the one that an
// interrupted try left in record, if the server still has it; otherwise it makes a
// new one and keeps it in record. A download that can no longer become DONE is
// deleted on the server. One that should be got in parts is ErrTooLarge; see Parts.
func (f *Fetcher) Download(ctx context.Context, nodes []download.NodeID, record *Record) (download.ArchiveInfo, error) {
	id, err := f.find(ctx, nodes, record)
	if err != nil {
		return download.ArchiveInfo{}, err
	}
	if err := f.await(ctx, id, nodes); err != nil {
		if ctx.Err() == nil && !errors.Is(err, download.ErrUnavailable) {
			f.Forget(ctx, id, record)
		}
		return download.ArchiveInfo{}, err
	}
	return f.Service.Archive(ctx, id)
}

// find returns the record's download if it can still become DONE. Otherwise it makes
// one.
func (f *Fetcher) find(ctx context.Context, nodes []download.NodeID, record *Record) (download.ID, error) {
	if id := record.ID(); id != "" {
		switch p, err := f.Service.Get(ctx, id); {
		case err == nil && p.Status != download.StatusCancelled && p.Status != download.StatusTooLarge:
			return id, nil
		case err != nil && !errors.Is(err, download.ErrNotFound):
			return "", err
		}
		if err := record.Remove(); err != nil {
			return "", err
		}
	}
	p, err := f.Service.Create(ctx, nodes)
	if err != nil {
		return "", err
	}
	return p.ID, record.Set(p.ID)
}

// await polls until the download is DONE.
func (f *Fetcher) await(ctx context.Context, id download.ID, nodes []download.NodeID) error {
	var last download.Progress
	moved, measured := time.Now(), false
	for wait := firstPoll; ; wait = min(2*wait, longPoll) {
		p, err := f.Service.Get(ctx, id)
		if err != nil {
			return err
		}
		if p != last {
			last, moved = p, time.Now()
		}
		f.Tell(Event{Phase: Zipping, ID: id, Done: p.BytesAdded, Total: p.TotalBytes, Files: p.FilesAdded, Of: p.TotalFiles})
		switch p.Status {
		case download.StatusDone:
			return nil
		case download.StatusCancelled:
			return fmt.Errorf("download %s: %w", id, download.ErrCancelled)
		}
		if err := f.tooMuch(ctx, nodes, p, &measured); err != nil {
			return err
		}
		if f.StallTimeout > 0 && time.Since(moved) > f.StallTimeout {
			return fmt.Errorf("download %s: %w", id, download.Stalled(f.StallTimeout))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Forget deletes the record, and tries to delete the download on the server.
func (f *Fetcher) Forget(ctx context.Context, id download.ID, record *Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_ = f.Service.Cancel(ctx, id)
	_ = f.Service.Delete(ctx, id) // if this fails, the server's cleaner does it
	_ = record.Remove()
}

// Write writes the archive to w, starting at byte off.
func (f *Fetcher) Write(ctx context.Context, a download.ArchiveInfo, w io.Writer, off int64) error {
	breaks, told := 0, time.Time{}
	f.Tell(Event{Phase: Fetching, ID: a.ID, Name: a.Name, Done: off, Total: a.Size})
	for buf := make([]byte, 256<<10); off < a.Size; {
		r, err := f.Source.Stream(ctx, a, off, a.Size)
		if err != nil {
			return err
		}
		start := off
		for err == nil {
			var n int
			n, err = r.Read(buf)
			if n > 0 {
				if _, werr := w.Write(buf[:n]); werr != nil {
					return errors.Join(werr, r.Close())
				}
				off += int64(n)
				if now := time.Now(); now.Sub(told) >= tellEvery || off == a.Size {
					told = now
					f.Tell(Event{Phase: Fetching, ID: a.ID, Name: a.Name, Done: off, Total: a.Size})
				}
			}
		}
		_ = r.Close()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case off > start:
			breaks = 0
		default:
			if breaks++; breaks >= maxBreaks {
				return err
			}
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, download.ErrUnavailable) {
			return err
		}
	}
	return nil
}

// File fetches the archive into part and syncs it. If the record says that part has
// the beginning of this archive, File resumes there. Some of that may be lost if the
// machine lost its power: see Check. The caller renames part.
func (f *Fetcher) File(ctx context.Context, a download.ArchiveInfo, part string, record *Record) (resumed bool, err error) {
	var file *os.File
	if record.Has(a, part) {
		file, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE, 0o600)
	} else {
		file, err = CreatePart(part)
	}
	if err != nil {
		return false, err
	}
	off, err := file.Seek(0, io.SeekEnd)
	if err == nil && off > a.Size {
		off, err = 0, errors.Join(file.Truncate(0), seekStart(file))
	}
	if err == nil {
		err = record.SetPart(a, part)
	}
	if err == nil {
		err = f.Write(ctx, a, file, off)
	}
	return off > 0, errors.Join(err, file.Sync(), file.Close())
}

// Check reads the zip in file, and fails if it is not whole and right; see IsDamage.
func (f *Fetcher) Check(ctx context.Context, a download.ArchiveInfo, file string) error {
	zip, err := os.Open(file)
	if err != nil {
		return err
	}
	defer zip.Close()
	_, _, err = zipfile.Check(ctx, &checked{fileSource{zip}, f, a, time.Now()}, a.Size, nil)
	return err
}

// checked is a zip whose check is told of.
type checked struct {
	fileSource
	f       *Fetcher
	archive download.ArchiveInfo
	told    time.Time
}

// ReadAt implements [zipfile.Source].
func (c *checked) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if now := time.Now(); now.Sub(c.told) >= tellEvery {
		c.told = now
		c.f.Tell(Event{Phase: Checking, ID: c.archive.ID, Name: c.archive.Name, Done: off, Total: c.archive.Size})
	}
	return c.fileSource.ReadAt(ctx, p, off)
}

// CreatePart creates a file for what arrives, which only this user can read. What is there
// makes room: it may be another user's, or a link to somewhere else.
func CreatePart(part string) (*os.File, error) {
	if err := os.Remove(part); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func seekStart(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// FileName returns a name for the archive that is safe in a directory.
func FileName(a download.ArchiveInfo) string {
	name := filepath.Base(filepath.Clean("/" + a.Name))
	clean := make([]rune, 0, len(name))
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '/' || r == '\\' {
			r = '_'
		}
		clean = append(clean, r)
	}
	name = string(clean)
	for len(name) > 0 && name[0] == '.' {
		name = name[1:]
	}
	if name == "" || name == "_" || len(name) > 240 {
		return string(a.ID) + ".zip"
	}
	return name
}
