package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"downloadfs/cache"
	"downloadfs/download"
	"downloadfs/fetch"
)

// forgetTimeout is how long get waits until the server has deleted what it was asked
// for. If it is late, the server's cleaner does it.
const forgetTimeout = 10 * time.Second

// inParts gets what is too large for one zip of the server. The parts are kept in a
// directory until the archive is where it belongs; the next try finds them there.
func (g *getter) inParts(ctx context.Context, nodes []download.NodeID, to io.WriteCloser) (result getResult, err error) {
	dir, err := g.partsDir(to != nil)
	if err != nil {
		return result, err
	}
	done := false
	m, closeAll, err := g.openParts(dir, to == nil && (g.options.output != "" || g.options.extract == ""))
	if err != nil {
		return result, err
	}
	defer func() {
		err = errors.Join(err, closeAll())
		if done || !dir.kept {
			err = errors.Join(err, os.RemoveAll(dir.path))
			_ = dir.lock.Close() // it may be nil
		} else if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w; what has arrived is in %s, and the same command goes on from there", err, dir.path)
		}
	}()
	d, err := g.fetcher.Parts(ctx, m, nodes)
	forget := func() {
		done = true
		if d != nil && m.Remove(d) == nil {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTimeout)
			defer cancel()
			m.AwaitRemovals(late)
		}
	}
	defer func() {
		if !done && !dir.kept {
			forget()
		}
	}()
	switch {
	case err != nil && d != nil && isAny(err, download.ErrTooLarge, download.ErrCancelled, download.ErrExpired):
		s := d.Snapshot()
		forget()
		if errors.Is(err, download.ErrTooLarge) && s.Parts.Total > 0 {
			err = exitf(exitOther, "%s of content come in parts, for which there is not enough room in %s; make room there, or name another place",
				bytesText(s.TotalBytes), filepath.Dir(dir.path))
		}
		return result, err
	case err != nil:
		return result, err
	}
	if result, err = g.save(ctx, m, d, to); err != nil {
		return result, err
	}
	forget()
	return result, nil
}

// save puts the archive, or its files, where they belong.
func (g *getter) save(ctx context.Context, m *download.Manager, d *download.Download, to io.WriteCloser) (getResult, error) {
	info := d.Snapshot().Archive
	result := getResult{size: info.Size}
	archive, err := m.OpenArchive(d)
	if err != nil {
		return result, err
	}
	defer archive.Close()
	switch {
	case to != nil:
		return result, errors.Join(g.fetcher.Copy(ctx, info, archive, to), to.Close())
	case g.options.output == "" && g.options.extract != "":
		result.dir = g.options.extract
		result.extracted, err = fetch.ExtractFrom(ctx, info, archive, g.options.extract)
		return result, err
	}
	part, err := g.partFile(info)
	if err != nil {
		return result, err
	}
	file, err := fetch.CreatePart(part)
	if err != nil {
		return result, err
	}
	err = g.fetcher.Copy(ctx, info, archive, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		result, err = g.place(ctx, info, part)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(part)) // it is made again in no time
	}
	return result, err
}

// partsDir is where parts are kept.
type partsDir struct {
	path string
	kept bool     // for the next try
	lock *os.File // unless it is kept
}

// partsPath returns the directory where an earlier try may have left parts, or "" if a
// try is not remembered.
func (g *getter) partsPath() string {
	if g.remembered == "" {
		return ""
	}
	name := strings.TrimSuffix(filepath.Base(g.remembered), filepath.Ext(g.remembered))
	return filepath.Join(g.folder(), ".downloadfs-"+name+".parts")
}

// partsDir returns the directory for the parts. It is on the disk that the archive goes
// to, if the archive goes to a disk.
func (g *getter) partsDir(direct bool) (partsDir, error) {
	folder, mode := g.folder(), os.FileMode(0o755)
	if direct {
		folder, mode = cmp.Or(defaultCacheDir(), os.TempDir()), 0o700
	}
	if err := os.MkdirAll(folder, mode); err != nil {
		return partsDir{}, err
	}
	if path := g.partsPath(); path != "" && !direct {
		return partsDir{path: path, kept: true}, ownDir(path) // others can tell its name
	}
	sweepParts(folder)
	path, err := os.MkdirTemp(folder, partsPattern)
	if err != nil {
		return partsDir{}, err
	}
	lock, err := lockDir(path)
	return partsDir{path: path, lock: lock}, err
}

// partsPattern is that of the names of directories for parts that the next try does not
// need.
const partsPattern = ".downloadfs-direct-*.parts"

// sweepParts removes the directories for parts that killed processes of this user have
// left in folder.
func sweepParts(folder string) {
	const fresh = time.Minute // its process may be about to lock it
	left, _ := filepath.Glob(filepath.Join(folder, partsPattern))
	for _, path := range left {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || !isMine(info) || time.Since(info.ModTime()) < fresh {
			continue
		}
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}

// lockDir locks a directory until the file that it returns is closed, or this process
// ends. It fails if it is locked.
func lockDir(path string) (*os.File, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, d.Close())
	}
	return d, nil
}

// openParts opens a manager that keeps parts in dir. copied says that the archive will
// be written to the same disk, besides the parts.
func (g *getter) openParts(dir partsDir, copied bool) (*download.Manager, func() error, error) {
	room, err := roomFor(dir.path)
	if err != nil {
		return nil, nil, err
	}
	if copied {
		room /= 2
	}
	c, err := cache.Open(cache.Config{Dir: filepath.Join(dir.path, "cache"), Size: max(room, 1), Source: g.fetcher.Source, Logger: g.log})
	if err != nil {
		return nil, nil, err
	}
	m, err := download.Open(download.Config{
		Service:            g.fetcher.Service,
		Nodes:              g.fetcher.Nodes,
		PartSize:           g.fetcher.PartSize,
		MaxFile:            g.fetcher.MaxFile,
		Archives:           c,
		JournalPath:        filepath.Join(dir.path, journalName),
		StallTimeout:       managerStallTimeout(g.options.stallTimeout),
		UnreachableTimeout: g.options.retryTimeout,
		Logger:             g.log,
	})
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return m, func() error { return errors.Join(m.Close(), c.Close()) }, nil
}

// roomFor returns how many bytes the files in dir may have in all.
func roomFor(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("look how much room there is in %s: %w", dir, err)
	}
	room := int64(fs.Bavail) * int64(fs.Bsize)
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			room += stat.Blocks * 512
		}
		return nil
	})
	return room, err
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
