package fs

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// document is a file for a test's archive.
type document struct {
	name, text string
	header     func(*zip.FileHeader)
}

// zipped makes an archive on disk.
func (m *testMount) zipped(documents ...document) *os.File {
	m.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, d := range documents {
		h := &zip.FileHeader{Name: d.name, Method: zip.Deflate, Modified: time.Date(2026, 7, 1, 12, 34, 56, 0, time.UTC)}
		if d.header != nil {
			d.header(h)
		}
		f, err := w.CreateHeader(h)
		require.NoError(m, err)
		_, err = f.Write([]byte(d.text))
		require.NoError(m, err)
	}
	require.NoError(m, w.Close())
	return m.file(b.Bytes())
}

func (m *testMount) file(b []byte) *os.File {
	m.Helper()
	path := filepath.Join(m.TempDir(), "archive.zip")
	require.NoError(m, os.WriteFile(path, b, 0o600))
	f, err := os.Open(path)
	require.NoError(m, err)
	m.files = append(m.files, f)
	return f
}

// lines returns n bytes of text.
func lines(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "line %d of the report\n", r.IntN(100000))
	}
	return b.String()[:n]
}

var documents = []document{
	{name: "a.txt", text: "hello\n"},
	{name: "dir/", text: ""},
	{name: "dir/big.txt", text: lines(3_000_000)},
	{name: "dir/sub/stored.bin", text: lines(300_000), header: func(h *zip.FileHeader) { h.Method = zip.Store }},
	{name: "empty", text: ""},
}

func stored(h *zip.FileHeader) { h.Method = zip.Store }

// Proves S-135.
func TestContents(t *testing.T) {
	for _, local := range []bool{false, true} {
		m := newTestMount(t)
		d := m.domain.add("d1", nil)
		d.finish(m.zipped(documents...), local)
		assert.Equal(t, "../.contents/d1", m.ok(`readlink $D/d1/contents`))
		assert.Equal(t, "a.txt\ndir\nempty", m.ok(`ls $D/d1/contents/`))
		assert.Equal(t, "hello", m.ok(`cat $D/d1/contents/a.txt`))
		assert.Equal(t, "444 regular file 3000000 1782909296", m.ok(`stat -c '%a %F %s %Y' $D/d1/contents/dir/big.txt`))
		assert.Equal(t, "555 directory", m.ok(`stat -c '%a %F' $D/d1/contents/dir`))
		for _, doc := range documents {
			for range 2 { // the second time checksums are known
				assert.Contains(t, m.ok(`sha256sum < $D/d1/contents/`+doc.name+` 2>&1 || true`), map[bool]string{false: hash([]byte(doc.text)), true: "Is a directory"}[strings.HasSuffix(doc.name, "/")])
				m.ok(`dd if=$D/d1/contents/` + doc.name + ` iflag=nocache count=0 2>&1 || true`)
			}
		}
		// As much as there is, in blocks that du counts.
		assert.Equal(t, "3232", m.ok(`du -skL $D/d1/contents/ | cut -f 1`))
		// Inode numbers follow the archive, and stay.
		order := m.ok(`find -L $D/d1/contents/ -type f -printf '%i %P\n' | sort -n | cut -d ' ' -f 2`)
		assert.Equal(t, "a.txt\ndir/big.txt\ndir/sub/stored.bin\nempty", order)
		assert.NotContains(t, m.log.String(), "level=ERROR")
	}
}

// What walks through a download's directory does not walk into the archive, and
// what is there is in no listing.
// Proves S-135.
func TestContentsAreNotEntered(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(documents...), true)
	assert.Equal(t, "d1\nnew", m.ok(`ls -A $D`))
	assert.Equal(t, "", m.ok(`ls -A $D/.contents`))
	assert.Equal(t, "6", m.ok(`find $D/d1 | wc -l`))
	assert.Equal(t, "6", m.ok(`tar c -C $D d1 | tar t | wc -l`))
	assert.Equal(t, "contents -> ../.contents/d1", m.ok(`T=$(mktemp -d); cp -r $D/d1 $T; cd $T/d1; stat -c %N contents | tr -d "'"; rm -r $T`))
	m.ok(`rm -r $D/d1`)
	assert.Equal(t, "new", m.ok(`ls -A $D`))
	assert.Equal(t, []string{"ENOENT"}, m.errnos(`os.stat(D+'/.contents/d1')`))
}

// Looking at the link, and at what it leads to, never waits; looking into it does,
// and then it is all there.
// Proves S-136.
func TestContentsWait(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	began := time.Now()
	m.ok(`ls -l $D/d1; ls -ld $D/d1/contents $D/d1/contents/; stat -L $D/d1/contents; test -d $D/d1/contents/; (cd $D/d1/contents); find -L $D/d1 -maxdepth 1 -ls; ls $D/.contents`)
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.Zero(t, d.waiting())
	tools := map[string]string{
		`ls $D/d1/contents/`:                            "a.txt\ndir\nempty",
		`cat $D/d1/contents/a.txt`:                      "hello",
		`cd $D/d1/contents/ && sha256sum < dir/big.txt`: hash([]byte(documents[2].text)) + "  -",
		`stat -c %s $D/d1/contents/dir/big.txt`:         "3000000",
		`T=$(mktemp -d); cp -rL $D/d1/contents/ $T/c; ls $T/c; chmod -R u+w $T; rm -r $T`: "a.txt\ndir\nempty",
		`find -L $D/d1/contents/ -type f | wc -l`:                                         "4",
		`test -e $D/d1/contents/nothing || echo missing`:                                  "missing",
	}
	running := map[string]*background{}
	for script := range tools {
		running[script] = m.background(script)
	}
	// The kernel asks once for a name that two look for.
	m.eventually(func() bool { return d.waiting() == len(tools)-1 }, "all wait")
	d.finish(m.zipped(documents...), false)
	for script, want := range tools {
		require.NoError(t, m.ended(running[script], 20*time.Second), script)
		assert.Equal(t, want, strings.TrimSpace(running[script].out.String()), script)
	}
}

// Who waits for contents can be interrupted, and learns what became of them.
// Proves S-136.
func TestContentsWaitEnds(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	for _, script := range []string{`exec ls $D/d1/contents/`, `exec cat $D/d1/contents/a.txt`} {
		b := m.background(script)
		m.eventually(func() bool { return d.waiting() == 1 }, "it waits")
		require.NoError(t, b.Process.Signal(syscall.SIGTERM))
		require.Error(t, m.ended(b, 5*time.Second))
		m.eventually(func() bool { return d.waiting() == 0 }, "it does not wait any more")
	}
	for err, want := range map[error]string{
		download.ErrCancelled: "Operation canceled", download.ErrTooLarge: "File too large", download.ErrStalled: "Connection timed out",
		download.ErrUnavailable: "No route to host", download.ErrExpired: "Stale file handle",
	} {
		d.set(func(s *download.Snapshot) { s.Err = nil })
		a, b := m.background(`ls $D/d1/contents/`), m.background(`cat $D/d1/contents/a.txt`)
		m.eventually(func() bool { return d.waiting() == 2 }, "both wait")
		d.set(func(s *download.Snapshot) { s.Err = fmt.Errorf("wait: %w", err) })
		for _, b := range []*background{a, b} {
			require.Error(t, m.ended(b, 5*time.Second))
			assert.Contains(t, b.out.String(), want)
		}
	}
}

// Proves S-145.
func TestContentsRefuse(t *testing.T) {
	m := newTestMount(t)
	m.domain.add("d1", nil).finish(m.zipped(documents...), true)
	tests := [][2]string{
		{`open(D+'/d1/contents/a.txt','w')`, "EACCES"},
		{`open(D+'/d1/contents/a.txt','a')`, "EACCES"},
		{`open(D+'/d1/contents/new','w')`, "EPERM"},
		{`os.truncate(D+'/d1/contents/a.txt',0)`, "EPERM"},
		{`os.unlink(D+'/d1/contents/a.txt')`, "EPERM"},
		{`os.rmdir(D+'/d1/contents/dir')`, "EPERM"},
		{`os.mkdir(D+'/d1/contents/new')`, "EPERM"},
		{`os.symlink('x',D+'/d1/contents/new')`, "EPERM"},
		{`os.link(D+'/d1/contents/a.txt',D+'/d1/contents/new')`, "EPERM"},
		{`os.rename(D+'/d1/contents/a.txt',D+'/d1/contents/b')`, "EPERM"},
		{`os.rename(D+'/d1/contents',D+'/d1/x')`, "EPERM"},
		{`os.chmod(D+'/d1/contents/a.txt',0o600)`, "EPERM"},
		{`os.utime(D+'/d1/contents/a.txt')`, "EPERM"},
		{`os.setxattr(D+'/d1/contents/a.txt','user.x',b'1')`, "ENOTSUP"},
		{`os.mkdir(D+'/.contents/x')`, "EPERM"},
		{`os.rmdir(D+'/.contents')`, "ENOENT"},
		{`os.stat(D+'/d1/contents/none')`, "ENOENT"},
		{`os.stat(D+'/d1/contents/a.txt/x')`, "ENOTDIR"},
		{`os.stat(D+'/d1/contents/'+'n'*256)`, "ENAMETOOLONG"},
		{`os.unlink(D+'/d1/contents')`, "ok"},
	}
	var statements []string
	for _, test := range tests {
		statements = append(statements, test[0])
	}
	got := m.errnos(statements...)
	for i, test := range tests {
		assert.Equal(t, test[1], got[i], test[0])
	}
}

// What cannot be read says so, and does not keep anything else from being read.
// Proves S-140, S-141, S-142.
func TestContentsThatCannotBeRead(t *testing.T) {
	m := newTestMount(t)
	file := m.zipped(document{name: "good", text: "good"}, document{name: "locked", text: "x", header: func(h *zip.FileHeader) { h.Flags |= 1 }},
		document{name: "damaged", text: strings.Repeat("0123456789", 100_000), header: stored})
	b, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	b[bytes.Index(b, []byte("0123456789"))+20] = 'X'
	d := m.domain.add("d1", nil)
	d.finish(m.file(b), false)
	assert.Equal(t, []string{"ok", "ENOTSUP", "ok", "EIO", "EIO"}, m.errnos(
		`open(D+'/d1/contents/good').read()`,
		`open(D+'/d1/contents/locked').read()`,
		`open(D+'/d1/contents/damaged').read(1000)`,
		`open(D+'/d1/contents/damaged').read()`,
		`open(D+'/d1/contents/damaged').read(1000)`))
	assert.Contains(t, m.ok(`cat $D/d1/status`), "entries: 3")

	lies := m.domain.add("d2", nil)
	lies.finish(m.file(b[:len(b)-30]), false)
	assert.Equal(t, []string{"EIO", "EIO", "ok"}, m.errnos(
		`os.listdir(D+'/d2/contents')`, `open(D+'/d2/contents/good')`, `open(D+'/d2/archive.zip','rb').read()`))
	assert.Contains(t, m.ok(`cat $D/d2/status`), "contentsError: 'the zip''s directory cannot be read: it has no end record; is it cut off?'")
	assert.Contains(t, m.ok(`cat $D/d2/status.json`), `"contentsError":`)
}

// status tells the number of entries of an archive that is whole here, though
// nobody has looked into it.
// Proves S-143.
func TestStatusTellsEntries(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(documents...), true)
	d.set(func(s *download.Snapshot) { s.CachedBytes = s.Archive.Size })
	assert.Contains(t, m.ok(`cat $D/d1/status`), "entries: 5")
	assert.Contains(t, m.ok(`cat $D/d1/status.json`), `"entries": 5`)
}

// Thumbnailers and indexers are kept from fetching an archive file by file.
// Proves S-144.
func TestContentsIndexers(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(documents...), false)
	const run = `T=$(mktemp -d); cp $(command -v cat) $T/tumblerd; $T/tumblerd $D/d1/contents/a.txt; E=$?; rm -r $T; exit $E`
	out, err := m.sh(run)
	require.Error(t, err)
	assert.Contains(t, out, "Permission denied")
	d.set(func(s *download.Snapshot) { s.CachedBytes = s.Archive.Size })
	assert.Equal(t, "hello", m.ok(run))
}

// A lookup finds the marks that desktops look for, without waiting, unless the archive
// has its own.
// Proves S-144.
func TestContentsMarks(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	for _, mark := range marks {
		assert.Equal(t, "0", m.ok(`stat -c %s $M/`+mark+` && cat $M/`+mark+` $D/d1/contents/`+mark))
	}
	assert.Zero(t, d.waiting())
	d.finish(m.zipped(document{name: marks[0], text: "its own"}), true)
	assert.Equal(t, marks[0], m.ok(`ls -A $D/d1/contents/`))
	assert.Equal(t, "its own", m.ok(`cat $D/d1/contents/`+marks[0]))
	assert.Equal(t, "README\ndownloads", m.ok(`ls -A $M`))
}

// Who has a file open reads on after the download was removed. The tree is soon found
// no more.
// Proves S-146, S-147.
func TestContentsRemovedWhileOpen(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(documents...), false)
	out := m.ok(`exec 3< $D/d1/contents/dir/big.txt; head -c 10 <&3 >/dev/null; rm -r $D/d1; sha256sum < /proc/self/fd/3`)
	assert.Contains(t, out, hash([]byte(documents[2].text)))
	time.Sleep(treeKept)
	assert.Equal(t, []string{"ENOENT"}, m.errnos(`os.stat(D+'/.contents/d1')`))
}

// A download's other name leads to the same contents, and what is open there stays
// where it is.
// Proves S-147.
func TestContentsRenamed(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(documents...), true)
	other := m.domain.add("d2", nil)
	other.finish(m.zipped(document{name: "a.txt", text: "other\n"}), true)
	assert.Equal(t, "hello\nother", m.ok(`cat $D/d1/contents/a.txt $D/d2/contents/a.txt`))
	m.ok(`mv $D/d1 $D/report`)
	assert.Equal(t, "hello", m.ok(`cat $D/report/contents/a.txt`))
	assert.Equal(t, "../.contents/d1", m.ok(`readlink $D/report/contents`))
	assert.Equal(t, []string{"ENOENT"}, m.errnos(`os.stat(D+'/.contents/report')`))
	// At once, one download has the name that another one had.
	for range 50 {
		m.ok(`mv $D/report $D/x; mv $D/d2 $D/report; mv $D/x $D/third`)
		assert.Equal(t, "other\nhello", m.ok(`cat $D/report/contents/a.txt $D/third/contents/a.txt`))
		m.ok(`mv $D/report $D/d2; mv $D/third $D/report`)
		assert.Equal(t, "hello\nother", m.ok(`cat $D/report/contents/a.txt $D/d2/contents/a.txt`))
	}
}

// Proves S-149.
func TestContentsOff(t *testing.T) {
	m := newTestMount(t, func(c *Config) { c.NoContents = true })
	m.domain.add("d1", nil).finish(m.zipped(documents...), true)
	assert.Equal(t, "archive.zip\nnodes\nstatus\nstatus.json", m.ok(`ls -A $D/d1`))
	assert.NotContains(t, m.ok(`cat $D/d1/status`), "entries")
	assert.Equal(t, []string{"ENOENT", "ENOENT"}, m.errnos(`os.lstat(D+'/d1/contents')`, `os.stat(D+'/.contents')`))
}

// A listing of a huge directory makes a bounded number of inodes.
// Proves S-148.
func TestContentsHugeDirectory(t *testing.T) {
	m := newTestMount(t)
	const n = maxListedInodes + 15_000
	var docs []document
	for i := range n {
		docs = append(docs, document{name: fmt.Sprintf("dir/%06d", i), header: stored})
	}
	d := m.domain.add("d1", nil)
	d.finish(m.zipped(docs...), true)
	assert.Equal(t, fmt.Sprint(n+2), m.ok(`ls -f $D/d1/contents/dir | wc -l`))
	assert.Equal(t, fmt.Sprint(n), m.ok(`ls $D/d1/contents/dir | uniq | wc -l`))
	assert.Equal(t, fmt.Sprint(n), m.ok(`find -L $D/d1/contents/dir -type f | wc -l`))
	python := `import os
d=os.scandir('$D/d1/contents/dir'); first=[next(d).name for _ in range(30000)]
print(len(set(first)), len(os.listdir('$D/d1/contents/dir')))`
	assert.Equal(t, fmt.Sprint("30000 ", n), m.ok(`python3 -c "`+python+`"`))
}

// Indexes are dropped when all together are too large, and read again.
// Proves S-148.
func TestIndexesAreBounded(t *testing.T) {
	m := newTestMount(t)
	f := m.server.fs
	var docs []document
	for i := range 3000 {
		docs = append(docs, document{name: fmt.Sprint(i), header: stored})
	}
	file := m.zipped(docs...)
	for i := range 5 {
		m.domain.add(download.ID(fmt.Sprint("d", i)), nil).finish(file, true)
	}
	m.ok(`ls $D/d0/contents/`)
	f.contents.mu.Lock()
	one, _ := f.contents.recent[0].known()
	f.contents.maxIndexes = 2 * one.Memory() // besides the one used last
	f.contents.mu.Unlock()
	m.ok(`for i in 0 1 2 3 4; do ls $D/d$i/contents/ | wc -l; done`)
	kept := 0
	f.contents.mu.Lock()
	for _, c := range f.contents.all {
		if x, _ := c.known(); x != nil {
			kept++
		}
	}
	assert.Equal(t, 3, kept)
	f.contents.mu.Unlock()
	assert.Equal(t, "0", m.ok(`stat -c %s $D/d0/contents/77; cat $D/d0/contents/77`))
}
