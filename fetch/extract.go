package fetch

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Extracted says what Extract has written.
type Extracted struct {
	Files int
	// Numbered are those files whose names were taken, as they are called now.
	Numbered []string
}

// Extract unpacks the zip file into dir. It makes dir if it is missing. It writes
// nothing outside dir, whatever names the archive has, and replaces nothing there: if a
// name is taken, the new file gets a number.
func Extract(ctx context.Context, file, dir string) (Extracted, error) {
	f, err := os.Open(file)
	if err != nil {
		return Extracted{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Extracted{}, err
	}
	return ExtractFrom(ctx, f, info.Size(), dir)
}

// ExtractFrom does what [Extract] does, with the zip of size bytes that r reads.
func ExtractFrom(ctx context.Context, r io.ReaderAt, size int64, dir string) (Extracted, error) {
	var e Extracted
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return e, fmt.Errorf("the archive cannot be read: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return e, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return e, err
	}
	defer root.Close()
	for _, entry := range z.File {
		if ctx.Err() != nil {
			return e, ctx.Err()
		}
		name := localName(entry.Name)
		if strings.HasSuffix(entry.Name, "/") {
			if err := root.MkdirAll(name, 0o755); err != nil {
				return e, err
			}
			continue
		}
		called, err := extractFile(root, entry, name)
		if err != nil {
			return e, fmt.Errorf("unpack %s: %w", name, err)
		}
		e.Files++
		if called != name {
			e.Numbered = append(e.Numbered, called)
		}
	}
	return e, nil
}

// localName turns a name in an archive into a path that stays below a directory.
func localName(name string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.ReplaceAll(name, "\\", "_"), "/") {
		switch part {
		case "", ".":
		case "..":
			parts = append(parts, "_")
		default:
			parts = append(parts, strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return '_'
				}
				return r
			}, part))
		}
	}
	if len(parts) == 0 {
		return "_"
	}
	return path.Join(parts...)
}

// extractFile writes one file and returns what it is called.
func extractFile(root *os.Root, entry *zip.File, name string) (string, error) {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	from, err := entry.Open()
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, name, err := createNew(root, name)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from) // checks the CRC at its end
	if err = errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(err, root.Remove(name))
	}
	if when := entry.Modified; !when.IsZero() {
		_ = root.Chtimes(name, when, when)
	}
	return name, nil
}

// createNew creates a file, with a number in its name if that is taken.
func createNew(root *os.Root, name string) (*os.File, string, error) {
	ext := filepath.Ext(name)
	for n := 0; ; n++ {
		try := name
		if n > 0 {
			try = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(name, ext), n, ext)
		}
		f, err := root.OpenFile(try, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if !errors.Is(err, iofs.ErrExist) {
			return f, try, err
		}
	}
}
