package fs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// asDesktop runs Python with a library mapped whose name is that of KIO's. $1 is a
// directory.
const asDesktop = `T=$(mktemp -d); head -c 4096 /dev/zero > $T/libKF5KIOCore.so.5
trap 'rm -r $T' EXIT
desktop() { python3 -c '
import mmap, os, sys
library = mmap.mmap(os.open(sys.argv[2], os.O_RDONLY), 4096, prot=mmap.PROT_READ)
d = sys.argv[1]
exec(sys.argv[3])' "$1" $T/libKF5KIOCore.so.5 "$2"; }
`

// Once an archive is ready it has the server's name too. Programs of a desktop list it
// under that name only, all others under archive.zip only.
// Proves S-202.
func TestServerName(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	_, err := m.sh(`ls $D/d1/scans.zip`)
	require.Error(t, err)
	const list = `desktop $D/d1 'print(*sorted(os.listdir(d)))'`
	assert.Equal(t, "archive.zip contents nodes status status.json", m.ok(asDesktop+list))
	file, data := m.archive(1 << 20)
	d.finish(file, true)
	d.set(func(s *download.Snapshot) { s.Archive.Name = "scans.zip" })

	assert.Equal(t, "archive.zip contents nodes status status.json", m.ok(`cd $D/d1; echo *`))
	assert.Equal(t, "contents nodes scans.zip status status.json", m.ok(asDesktop+list))
	assert.Contains(t, m.ok(`sha256sum $D/d1/scans.zip`), hash(data))
	assert.Contains(t, m.ok(`T=$(mktemp -d); cp $D/d1/scans.zip $T; ls $T; sha256sum $T/scans.zip; rm -r $T`), hash(data))
	assert.Equal(t, m.ok(`stat -c %i $D/d1/archive.zip`), m.ok(`stat -c %i $D/d1/scans.zip`))
	// Nothing that copies a directory copies the bytes twice.
	for _, script := range []string{
		`cp -r $D/d1 $T/out`, `cp -a $D/d1 $T/out`, `rsync -a $D/d1/ $T/out`, `mkdir $T/out && tar -C $D/d1 -cf - . | tar -C $T/out -xf -`,
	} {
		assert.Equal(t, "archive.zip", m.ok(`T=$(mktemp -d); `+script+`; cd $T/out && ls | grep zip; chmod -R u+w $T; rm -r $T`), script)
	}
	m.ok(asDesktop + `desktop $D/d1 '
for name in os.listdir(d): os.unlink(d + "/" + name)
os.rmdir(d)'`)
	assert.Equal(t, "new", m.ok(`ls $D`))
}

// What the server calls an archive takes the place of nothing else, and moving it away
// under that name is moving the archive.
// Proves S-202.
func TestServerNameSafe(t *testing.T) {
	file := download.ArchiveInfo{Size: 1}
	for name, want := range map[string]string{
		"scans.zip": "scans.zip", "Ünïcode 1.zip": "Ünïcode 1.zip", "": "", "archive.zip": "", "status": "", "contents": "",
		"nodes": "", "status.json": "", ".nomedia": "", ".hidden.zip": "",
	} {
		file.Name = name
		assert.Equal(t, want, serverName(download.Snapshot{Ready: true, Archive: file}), name)
		assert.Empty(t, serverName(download.Snapshot{Archive: file}), name)
	}
}

// Backups that leave caches out find the mark of one, and listings do not have it.
// Proves S-203.
func TestCacheTag(t *testing.T) {
	m := newTestMount(t)
	assert.Equal(t, "Signature: 8a477f597d28d172789f06886806bc55", m.ok(`head -1 $M/CACHEDIR.TAG`))
	assert.Equal(t, "README\ndownloads", m.ok(`ls -A $M`))
	m.domain.add("d1", nil)
	assert.NotContains(t, m.ok(`tar --exclude-caches -cf - -C $M . | tar -tf -`), "downloads")
}

// There is no trash. KIO's worker for the one of the home directory finds no archive
// that is not ready, and nothing there waits.
// Proves S-204.
func TestNoTrash(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	out, err := m.sh(`gio trash $D/d1`)
	require.Error(t, err, out)
	assert.Contains(t, out, "trash")
	_, err = m.sh(`mkdir $M/.Trash-$(id -u)`)
	require.Error(t, err)
	const program = `T=$(mktemp -d); trap 'rm -r $T' EXIT; trash() { cp -f $(command -v "$1") $T/trash.so; shift; $T/trash.so "$@"; }; `
	assert.Equal(t, "nodes status status.json", m.ok(program+`echo $(trash ls -A $D/d1)`))
	assert.Equal(t, "archive.zip contents nodes status status.json", m.ok(`echo $(ls -A $D/d1)`))
	out, err = m.sh(program + `trash cat $D/d1/archive.zip`)
	require.Error(t, err)
	assert.Contains(t, out, "Resource temporarily unavailable")
	assert.False(t, d.Snapshot().Status.Ended())
	assert.Zero(t, d.waiting())
	file, data := m.archive(1000)
	d.finish(file, false)
	assert.Equal(t, "archive.zip nodes status status.json", m.ok(program+`echo $(trash ls -A $D/d1)`))
	assert.Equal(t, hash(data)+"  "+m.dir+"/downloads/d1/archive.zip", m.ok(program+`trash sha256sum $D/d1/archive.zip`))
	m.ok(program + `trash rm -r $D/d1`)
	assert.Empty(t, m.domain.Downloads())
}

// LibreOffice is told that a file cannot be written. Others may remove it without a
// question.
// Proves S-231.
func TestOfficePrograms(t *testing.T) {
	m := newTestMount(t)
	m.domain.add("d1", nil)
	const program = `T=$(mktemp -d); trap 'rm -r $T' EXIT; cp $(command -v bash) $T/soffice.bin; `
	m.ok(program + `for f in $D/d1/{status,status.json,nodes}; do
test -w $f && $T/soffice.bin -c "test -r $f && ! test -w $f" || exit
done; $T/soffice.bin -c "! test -w $M/README"`)
}

// A program of a desktop that walks into the contents of a pending download gets an
// error instead of waiting, and never an empty directory.
// Proves S-205.
func TestContentsInDesktops(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	for _, look := range []string{`os.listdir(d)`, `os.stat(d + "/a.txt")`, `os.scandir(d)`} {
		began := time.Now()
		out, err := m.sh(asDesktop + `desktop $D/d1/contents '` + look + `'`)
		require.Error(t, err)
		assert.Contains(t, out, "Resource temporarily unavailable", look)
		assert.Less(t, time.Since(began), 10*time.Second)
	}
	assert.Zero(t, d.waiting())
	d.finish(m.zipped(documents...), true)
	assert.Contains(t, m.ok(asDesktop+`desktop $D/d1/contents 'print(os.listdir(d))'`), "a.txt")
}

// TestDifferences: those who watch are told all that they do not know, also if a download
// came, ended and got its name in one round.
// Proves S-199, S-202.
func TestDifferences(t *testing.T) {
	d := &fakeItem{serial: 7}
	directory, archive := inodeNumber(7, kindDirectory), inodeNumber(7, kindArchive)
	watched := func(inodes ...uint64) (w watchers) {
		w.merge(watching(inodes...), false)
		return w
	}
	var desktops watchers
	desktops.merge(watching(directory, archive), true)
	pending := shown{name: "d7", status: download.StatusPending}
	tenth := shown{name: "d7", status: download.StatusInProgress, step: 1}
	twice := shown{name: "d7", status: download.StatusInProgress, step: 2}
	done := shown{name: "d7", status: download.StatusDone, step: 10, other: "a.zip"}
	named := shown{name: "q3", status: download.StatusDone, step: 10, other: "a.zip"}
	for name, c := range map[string]struct {
		before *shown
		now    shown
		w      watchers
		want   string
	}{
		"nobody":                 {nil, done, watchers{}, ""},
		"comes":                  {nil, pending, watched(inoDownloads), "mkdir downloads/d7"},
		"comes, watched":         {nil, pending, watched(inoDownloads, directory), "mkdir downloads/d7"},
		"comes and ends":         {nil, done, watched(inoDownloads), "mkdir downloads/d7"},
		"comes and ends, inside": {nil, done, watched(directory), "mtime downloads/d7/status, mtime downloads/d7/status.json, times downloads/d7/archive.zip, link downloads/d7/archive.zip a.zip"},
		"comes and ends, both": {nil, done, watched(inoDownloads, directory), "mkdir downloads/d7, mtime downloads/d7/status, mtime downloads/d7/status.json, " +
			"times downloads/d7/archive.zip, link downloads/d7/archive.zip a.zip, times downloads/d7"},
		"comes and ends, desktops": {nil, done, desktops, "mtime downloads/d7/status, mtime downloads/d7/status.json, rename downloads/d7/archive.zip a.zip"},
		"moves on":                 {&tenth, twice, watched(inoDownloads, directory), "mtime downloads/d7/status, mtime downloads/d7/status.json, times downloads/d7/archive.zip"},
		"moves on, outside":        {&tenth, twice, watched(inoDownloads), ""},
		"ends":                     {&tenth, done, desktops, "mtime downloads/d7/status, mtime downloads/d7/status.json, rename downloads/d7/archive.zip a.zip"},
		"ends, outside":            {&tenth, done, watched(inoDownloads), "times downloads/d7"},
		"is renamed":               {&done, named, watched(inoDownloads, directory), "rename downloads/d7 q3"},
		"is as known":              {&done, done, watchers{all: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := shown{}
			if c.before != nil {
				before = *c.before
			}
			var got []string
			for _, c := range differences(d, before, c.before != nil, c.now, c.w) {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s/%s %s", c.Kind, c.Dir, c.Name, c.To)))
			}
			assert.Equal(t, c.want, strings.Join(got, ", "))
		})
	}
}

// watching is what a program watches.
func watching(inodes ...uint64) (w watchers) {
	w.inodes = make(map[uint64]bool)
	for _, ino := range inodes {
		w.inodes[ino] = true
	}
	return w
}

// Watchers are told of progress in tenths.
// Proves S-199.
func TestShownSteps(t *testing.T) {
	steps := map[int]bool{}
	for added := int64(0); added <= 1000; added++ {
		steps[newShown(download.Snapshot{Progress: download.Progress{BytesAdded: added, TotalBytes: 1000}}).step] = true
	}
	assert.Len(t, steps, 11)
	assert.Equal(t, 10, newShown(download.Snapshot{Progress: download.Progress{BytesAdded: 1 << 62, TotalBytes: 1}}).step)
	assert.Zero(t, newShown(download.Snapshot{Progress: download.Progress{BytesAdded: 5}}).step)
}

// What is watched is read from the descriptors' texts.
// Proves S-199.
func TestWatchedInodes(t *testing.T) {
	var w watchers
	w.add("pos:\t0\nflags:\t00\ninotify wd:2 ino:3 sdev:30 mask:fce ignored_mask:0 fhandle-bytes:8\ninotify wd:1 ino:10 sdev:31 mask:fce\n", kernelDevice("0:48"))
	assert.True(t, w.watches(inoDownloads))
	assert.False(t, w.watchesEntry(1), "another device")
	assert.False(t, w.all)
	w.add("fanotify flags:0 event-flags:8000\nfanotify ino:10 sdev:30 mflags:0 mask:3b\n", "30")
	assert.True(t, w.watchesEntry(1))
	w.add("fanotify sdev:30 mflags:0 mask:3b\n", "30")
	assert.True(t, w.all)
	assert.Empty(t, kernelDevice("none"))
	assert.Equal(t, "80100002", kernelDevice("2049:2"))
}

// A view of a desktop gets a new name in place of archive.zip only where no other program
// watches.
// Proves S-202.
func TestWatchedByDesktopsOnly(t *testing.T) {
	directory, archive, status := inodeNumber(1, kindDirectory), inodeNumber(1, kindArchive), inodeNumber(1, kindStatus)
	for name, test := range map[string]struct {
		desktop, plain watchers
		want           bool
	}{
		"nobody":            {watchers{}, watchers{}, false},
		"a desktop":         {watching(directory), watchers{}, true},
		"a desktop's file":  {watching(archive), watchers{}, false},
		"another program":   {watchers{}, watching(directory), false},
		"both":              {watching(directory), watching(directory), false},
		"its archive":       {watching(directory), watching(archive), false},
		"another's status":  {watching(directory), watching(status), true},
		"another directory": {watching(directory), watching(inodeNumber(2, kindDirectory), inoDownloads), true},
		"all of it":         {watching(directory), watchers{all: true}, false},
	} {
		var w watchers
		w.merge(test.plain, false)
		w.merge(test.desktop, true)
		assert.Equal(t, test.want, w.desktopsOnly(1), name)
	}
}

// Looking who watches takes a fiftieth of the time at most while nobody does.
// Proves S-201.
func TestWatchersAreLookedForSparingly(t *testing.T) {
	now := time.Now()
	assert.Equal(t, time.Second, scan{ended: now, took: time.Millisecond}.due().Sub(now))
	assert.Equal(t, 5*time.Second, scan{ended: now, took: 100 * time.Millisecond}.due().Sub(now))
	assert.Equal(t, 500*time.Millisecond, scan{ended: now, took: 100 * time.Millisecond, found: true}.due().Sub(now))
}
