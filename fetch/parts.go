package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"downloadfs/download"
)

// tooMuch reports why p, the server's answer about a download of nodes, means that it
// should be got in parts: the server refuses it, more is to be zipped at once than the
// caller wants, or there is a file that no zip can hold. It returns nil otherwise.
func (f *Fetcher) tooMuch(ctx context.Context, nodes []download.NodeID, p download.Progress, measured *bool) error {
	switch {
	case p.Status == download.StatusTooLarge:
		return fmt.Errorf("download %s: %w", p.ID, download.TooLarge(p))
	case f.PartSize < 0 || p.Status.Ended():
		return nil
	case f.PartSize > 0 && p.TotalBytes > f.PartSize:
		return fmt.Errorf("download %s: %d bytes of content, and a part is to have %d: %w", p.ID, p.TotalBytes, f.PartSize, download.ErrTooLarge)
	case f.Nodes == nil || *measured || p.TotalBytes <= f.maxFile():
		return nil
	}
	*measured = true
	largest, err := download.LargestFile(ctx, f.Nodes, nodes)
	if err == nil && largest > f.maxFile() {
		return fmt.Errorf("download %s: a file of %d bytes, which no zip of the server can hold: %w", p.ID, largest, download.ErrTooLarge)
	}
	return nil // the server judges
}

func (f *Fetcher) maxFile() int64 {
	if f.MaxFile > 0 {
		return f.MaxFile
	}
	return download.MaxZipEntry
}

// Parts has m get the nodes, in parts if they are too large for one zip of the server,
// and blocks until the archive can be opened. If m already knows a download, from an
// interrupted try, it goes on with that. The errors are those of
// [download.Download.Wait]. Unless they are ErrCancelled or ErrExpired, the next try
// goes on where this one ended.
func (f *Fetcher) Parts(ctx context.Context, m *download.Manager, nodes []download.NodeID) (*download.Download, error) {
	d, err := f.begun(ctx, m, nodes)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- d.Wait(ctx) }()
	look := time.NewTicker(tellEvery)
	defer look.Stop()
	for {
		s := d.Snapshot()
		f.Tell(Event{Phase: Assembling, ID: d.ID(), Done: s.BytesAdded, Total: s.TotalBytes, Files: s.FilesAdded, Of: s.TotalFiles,
			Parts: s.Parts.Done, OfParts: s.Parts.Total, Looked: s.Parts.Looked})
		select {
		case err := <-done:
			return d, err
		case <-look.C:
		}
	}
}

// begun returns the download that m has, if it can still become DONE, or else makes
// one.
func (f *Fetcher) begun(ctx context.Context, m *download.Manager, nodes []download.NodeID) (*download.Download, error) {
	for _, d := range m.Downloads() {
		switch d.Snapshot().Status {
		case download.StatusCancelled, download.StatusExpired:
			if err := m.Remove(d); err != nil {
				return nil, err
			}
		default:
			return d, nil
		}
	}
	var l download.List
	for _, id := range nodes {
		l.Entries = append(l.Entries, download.Entry{Node: id})
	}
	return m.Create(ctx, l)
}

// Copy writes an archive to w.
func (f *Fetcher) Copy(ctx context.Context, info download.ArchiveInfo, a download.Archive, w io.Writer) error {
	told := time.Time{}
	buf := make([]byte, 1<<20)
	for off := int64(0); off < info.Size; {
		n, err := a.ReadAt(ctx, buf[:min(int64(len(buf)), info.Size-off)], off)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		off += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		if now := time.Now(); now.Sub(told) >= tellEvery || off == info.Size {
			told = now
			f.Tell(Event{Phase: Saving, ID: info.ID, Name: info.Name, Done: off, Total: info.Size})
		}
	}
	return nil
}
