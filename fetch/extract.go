package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"downloadfs/download"
	"downloadfs/zipfile"
)

// Extracted says what Extract has written.
type Extracted struct {
	Files int
	// Numbered are those files whose names were taken, as they are called now.
	Numbered []string
}

// Extract unpacks the zip file into dir. It makes dir if it is missing. It writes
// nothing outside dir, whatever names the archive has; the files have the names that
// they have in contents of a mount. It replaces nothing: if a name is taken, the new file
// gets a number. But a file that is there already with the same bytes, such as one of a
// try that was interrupted, counts as unpacked. A file has its name only when it is
// whole.
//
// A file that is damaged or cannot be unpacked does not keep Extract from unpacking the
// others; its error wraps [zipfile.ErrDamaged] or [zipfile.ErrUnsupported]. An error that
// wraps [zipfile.ErrFormat] says that file is no zip.
func Extract(ctx context.Context, id download.ID, file, dir string) (Extracted, error) {
	f, err := os.Open(file)
	if err != nil {
		return Extracted{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Extracted{}, err
	}
	return extractFrom(ctx, id, fileSource{f}, info.Size(), dir)
}

// ExtractFrom does what [Extract] does, with an archive that is not in a file.
func ExtractFrom(ctx context.Context, info download.ArchiveInfo, a download.Archive, dir string) (Extracted, error) {
	return extractFrom(ctx, info.ID, archiveSource{a}, info.Size, dir)
}

func extractFrom(ctx context.Context, id download.ID, src zipfile.Source, size int64, dir string) (Extracted, error) {
	x, err := zipfile.ReadIndex(ctx, src, size, time.Local)
	if err != nil {
		return Extracted{}, fmt.Errorf("the archive cannot be read: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Extracted{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Extracted{}, err
	}
	defer root.Close()
	e := extraction{ctx: ctx, src: src, index: x, memory: zipfile.NewMemory(), root: root,
		part: ".downloadfs-" + string(id)[:min(8, len(id))] + ".part",
		room: make([]byte, 1<<20), other: make([]byte, 1<<20)}
	err = e.folder(zipfile.Root, ".")
	const shown = 3
	if more := len(e.bad) - shown; more > 0 {
		e.bad = append(e.bad[:shown], fmt.Errorf("and %d more files", more))
	}
	return e.done, errors.Join(append(e.bad, err)...)
}

// IsDamage reports whether err says that a zip is not right, and not that it could not be
// read.
func IsDamage(err error) bool {
	return errors.Is(err, zipfile.ErrFormat) || errors.Is(err, zipfile.ErrDamaged)
}

// fileSource is a zip on disk.
type fileSource struct{ *os.File }

// ReadAt implements [zipfile.Source].
func (s fileSource) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return s.File.ReadAt(p, off)
}

// Expect implements [zipfile.Source].
func (fileSource) Expect(int64, int64) {}

// archiveSource is an archive that is not in a file.
type archiveSource struct{ download.Archive }

// Expect implements [zipfile.Source].
func (s archiveSource) Expect(off, n int64) { download.Expect(s.Archive, off, n) }

// extraction is one call of extractFrom.
type extraction struct {
	ctx         context.Context
	src         zipfile.Source
	index       *zipfile.Index
	memory      *zipfile.Memory
	root        *os.Root
	part        string // the name of a file that is not whole yet
	room, other []byte
	done        Extracted
	bad         []error // of files that cannot be unpacked
}

// folder unpacks the nodes of a folder into dir.
func (e *extraction) folder(n zipfile.Node, dir string) error {
	for child, ok := e.index.First(n); ok; child, ok = e.index.Next(child) {
		info := e.index.Info(child)
		name := path.Join(dir, info.Name)
		if info.Dir {
			name, err := e.makeFolder(name)
			if err != nil {
				return err
			}
			if err := e.folder(child, name); err != nil {
				return err
			}
			continue
		}
		called, err := e.file(child, info, name)
		switch {
		case errors.Is(err, zipfile.ErrDamaged), errors.Is(err, zipfile.ErrUnsupported):
			e.bad = append(e.bad, fmt.Errorf("unpack %s: %w", name, err))
			continue
		case err != nil:
			return fmt.Errorf("unpack %s: %w", name, err)
		}
		e.done.Files++
		if called != name {
			e.done.Numbered = append(e.done.Numbered, called)
		}
	}
	return nil
}

// makeFolder makes a folder, unless it is there, and returns what it is called.
func (e *extraction) makeFolder(name string) (string, error) {
	for n := 0; ; n++ {
		try := Numbered(name, n)
		err := e.root.Mkdir(try, 0o755)
		if err == nil {
			return try, nil
		}
		if info, statErr := e.root.Stat(try); statErr == nil && info.IsDir() {
			return try, nil
		} else if statErr != nil || !errors.Is(err, iofs.ErrExist) {
			return "", err
		}
	}
}

// file unpacks one file and returns what it is called.
func (e *extraction) file(n zipfile.Node, info zipfile.Info, name string) (string, error) {
	r, err := zipfile.NewReader(e.index, n, e.memory)
	if err != nil {
		return "", err
	}
	defer r.Forget()
	part := ""
	defer func() {
		if part != "" {
			_ = e.root.Remove(part)
		}
	}()
	for n := 0; ; n++ {
		try := Numbered(name, n)
		if there, err := e.root.Lstat(try); err == nil {
			if same, err := e.same(r, try, there); same || err != nil {
				return try, err
			}
			continue
		}
		if part == "" {
			part = path.Join(path.Dir(name), e.part)
			if err := e.unpack(r, part); err != nil {
				return "", err
			}
			if when := info.Modified; !when.IsZero() {
				_ = e.root.Chtimes(part, when, when)
			}
		}
		if err := GiveName(e.root, part, try); !errors.Is(err, iofs.ErrExist) {
			return try, err
		}
		n-- // somebody has just made a file of that name
	}
}

// same reports whether the file called name, which is there, has the bytes that r reads.
func (e *extraction) same(r *zipfile.Reader, name string, there os.FileInfo) (bool, error) {
	if !there.Mode().IsRegular() || there.Size() != r.Size() {
		return false, nil
	}
	f, err := e.root.Open(name)
	if err != nil {
		return false, nil // it cannot be looked at, so it is another
	}
	defer f.Close()
	equal := true
	err = e.read(r, func(b []byte) error {
		if _, err := io.ReadFull(f, e.other[:len(b)]); err != nil || !bytes.Equal(b, e.other[:len(b)]) {
			equal = false
			return io.EOF
		}
		return nil
	})
	if !equal {
		err = nil
	}
	return equal, err
}

// unpack writes what r reads into a new file.
func (e *extraction) unpack(r *zipfile.Reader, part string) error {
	if err := e.root.Remove(part); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	f, err := e.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = e.read(r, func(b []byte) error {
		_, err := f.Write(b)
		return err
	})
	return errors.Join(err, f.Close())
}

// read calls each with all that r reads, in order. The last call is made only if
// everything is right.
func (e *extraction) read(r *zipfile.Reader, each func([]byte) error) error {
	for off := int64(0); off < r.Size(); {
		b := e.room[:min(int64(len(e.room)), r.Size()-off)]
		n, err := r.ReadAt(e.ctx, e.src, b, off)
		if n < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := each(b); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

// GiveName renames part, a file in root, unless the name is taken ([iofs.ErrExist]).
func GiveName(root *os.Root, part, name string) error {
	err := root.Link(part, name) // fails if the name is taken, unlike a rename
	if err == nil {
		return root.Remove(part)
	}
	if errors.Is(err, iofs.ErrExist) {
		return err
	}
	// This file system has no links, so an empty file takes the name first.
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), root.Rename(part, name))
}

// Numbered returns the nth name to try for a file: name itself for 0, then with a number.
func Numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	const longest = 255 // bytes
	dir, base := path.Split(name)
	ext := fmt.Sprintf(" (%d)%s", n, path.Ext(base))
	stem := strings.TrimSuffix(base, path.Ext(base))
	for len(stem)+len(ext) > longest && stem != "" {
		_, last := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-last]
	}
	return dir + stem + ext
}
