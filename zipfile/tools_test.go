package zipfile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// run runs a script with "$f" as the zip and returns what it prints.
func run(t *testing.T, zip, script string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "sh", "-ec", script)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "f="+zip, "LC_ALL=C.UTF-8")
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	require.NoError(t, err, "%s\n%s%s", script, out, errs.String())
	return string(out)
}

// Tools find what lies beyond 4 GiB in an archive. Its first file has more than that,
// and is a hole.
// Proves S-165.
func TestToolsBeyond4GiB(t *testing.T) {
	const size = 5 << 30
	real := realZips(t)["plain"]
	s := stitch(t, Piece{Path: "disk.img", File: zeros{}, Size: size, CRC: 0, Modified: mid2026},
		Piece{Path: "far/", Zip: real, Size: int64(len(real))}, Piece{Path: "last", Modified: mid2026})
	z, err := zip.NewReader(plainReader{s}, s.Size())
	require.NoError(t, err)
	data, err := z.File[0].DataOffset()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "large.zip")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, file.Truncate(s.Size()))
	for _, part := range [][2]int64{{0, data}, {data + size, s.Size()}} {
		b := make([]byte, part[1]-part[0])
		_, err := s.ReadAt(t.Context(), b, part[0])
		require.NoError(t, err)
		_, err = file.WriteAt(b, part[0])
		require.NoError(t, err)
	}
	want := unzipAll(t, bytes.NewReader(real), int64(len(real)), "far/")
	i := 0
	for want[i].name != "far/Photos/sub/three.txt" {
		i++
	}
	for tool, script := range map[string]string{
		"unzip":  `unzip -p "$f" far/Photos/sub/three.txt`,
		"7z":     `7z x -so "$f" far/Photos/sub/three.txt`,
		"bsdtar": `bsdtar -xOf "$f" far/Photos/sub/three.txt`,
		"Python": `python3 -c 'import sys,zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read("far/Photos/sub/three.txt"))' "$f"`,
	} {
		require.Equal(t, want[i].content, run(t, path, script), tool)
	}
	for tool, script := range map[string]string{
		"unzip":  `unzip -Z1 "$f"`,
		"bsdtar": `bsdtar -tf "$f"`,
		"Python": `python3 -c 'import sys,zipfile; print("\n".join(zipfile.ZipFile(sys.argv[1]).namelist()))' "$f"`,
	} {
		lines := strings.Split(strings.TrimSpace(run(t, path, script)), "\n")
		require.Len(t, lines, len(want)+2, tool)
		require.Equal(t, "last/", lines[len(lines)-1], tool)
	}
	require.Contains(t, run(t, path, `unzip -l "$f" disk.img`), fmt.Sprint(size))
	require.Contains(t, run(t, path, `7z l "$f" disk.img`), fmt.Sprint(size))
}

// Tools read an archive of more than 65,535 entries, from a pipe too.
// Proves S-165.
func TestToolsReadManyEntries(t *testing.T) {
	const each = 35_000
	one := streamed(t, each, "a/%d")
	s := stitch(t, Piece{Path: "x", Modified: mid2026}, Piece{Path: "x/", Zip: one, Size: int64(len(one))},
		Piece{Path: "y/", Zip: one, Size: int64(len(one))})
	whole := make([]byte, s.Size())
	_, err := s.ReadAt(t.Context(), whole, 0)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "many.zip")
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	bytes := fmt.Sprint(s.Bytes())
	for tool, c := range map[string][2]string{
		"unzip -t":            {`unzip -tq "$f"`, "No errors detected in compressed data"},
		"unzip -l":            {`unzip -l "$f" | tail -n 1`, bytes + " 70001 files"},
		"unzip -p":            {`unzip -p "$f" | wc -c`, bytes},
		"7z t":                {`7z t "$f"`, "Everything is Ok"},
		"bsdtar":              {`bsdtar -xOf "$f" | wc -c`, bytes},
		"bsdtar from a pipe":  {`cat "$f" | bsdtar -xOf - | wc -c`, bytes},
		"busybox from a pipe": {`cat "$f" | busybox unzip -p - | wc -c`, bytes},
		"Python":              {`python3 -c 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); print(z.read("y/a/34999"), len(z.namelist()))' "$f"`, "b'34999' 70001"},
		"zip -T of Info-ZIP":  {`zip -T "$f"`, "OK"},
	} {
		require.Contains(t, strings.Join(strings.Fields(run(t, path, c[0])), " "), c[1], tool)
	}
}
