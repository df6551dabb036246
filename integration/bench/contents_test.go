package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

const documents = 20_000

// theOne is the document that is opened, somewhere in the middle.
const theOne = "folder/100/the one.bin"

// documentServer serves a folder of 20,000 documents that do not pack, -size bytes
// in all, and one of 1 MiB; and zips it.
func documentServer(t *testing.T) (s *harness.Server, dir, id string) {
	dir = harness.Dir(t, harness.User{})
	each := int(*size / documents)
	noise := harness.Noise(1, each)
	for i := range documents {
		path := fmt.Sprintf("%s/folder/%03d/a document with a name of some length %05d.bin", dir, i/100, i)
		if i%100 == 0 {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		}
		// Each differs, and so does each one's checksum.
		require.NoError(t, os.WriteFile(path, []byte(fmt.Sprintf("%08d", i)+noise[8:]), 0o644))
	}
	harness.Tree(t, dir, map[string]string{theOne: harness.Noise(7, 1<<20)})
	s = harness.StartServer(t, dir, "--max-content-size", "8G")
	return s, dir, zipped(t, s, "folder")
}

// sh runs a script as a user, with as much time as it takes.
func sh(t *testing.T, u harness.User, dir, script string) harness.Result {
	t.Helper()
	return harness.Cmd{User: u, Dir: dir, Name: "bash", Args: []string{"-ec", script}, Timeout: patience}.Run(t).OK(t)
}

// curlConfig is a file that tells curl the password.
func curlConfig(t *testing.T, u harness.User) string {
	dir := harness.Dir(t, u)
	sh(t, u, dir, `umask 077; echo 'user = "`+harness.AdminName+`:`+harness.AdminPassword+`"' > config`)
	return dir + "/config"
}

// oneDocument opens one document of 1 MiB in an archive of which nothing is cached. The
// baseline is curl of the same bytes, and unpacking them.
func oneDocument(t *testing.T, u harness.User) []cell {
	s, dir, id := documentServer(t)
	directory := centralDirectorySize(t, s, id)
	config := curlConfig(t, u)
	whole := filepath.Join(harness.Dir(t, u), "whole.zip")
	curl(t, s, u, id, whole)
	// Where the directory and the entry are, for curl.
	ranges := sh(t, u, "/", `exec python3 - '`+whole+`' <<'EOF'
import zipfile,sys,os
z=zipfile.ZipFile(sys.argv[1]); i=z.getinfo('`+theOne+`')
print('%d-%d %d-%d'%(z.start_dir,os.path.getsize(sys.argv[1])-1,i.header_offset,i.header_offset+i.compress_size+500))
EOF`).Out(t)
	tail, entry, _ := strings.Cut(strings.TrimSpace(ranges), " ")
	requests, beyond, over, took, baseline := count(), newFigure("%.2f MB"), ratio(), milliseconds(), milliseconds()
	for range *runs {
		base := sh(t, u, "/", `for r in `+tail+`; do curl -sfK `+config+` -r $r '`+contentURL(s, id)+`' >/dev/null; done
			curl -sfK `+config+` -r `+entry+` '`+contentURL(s, id)+`' | funzip 2>/dev/null >/dev/null || true`).Duration
		m := mount(t, s, u)
		adopt(t, m, id)
		n, bytes := stat(t, s, "content"), stat(t, s, "contentBytes")
		r := sh(t, u, m.Downloads, `cat '`+id+`/contents/`+theOne+`' | cmp - '`+dir+`/`+theOne+`'`)
		m.Unmount(t)
		requests.add(stat(t, s, "content") - n)
		beyond.add((stat(t, s, "contentBytes") - bytes - float64(directory) - 1<<20) / 1e6)
		over.add(r.Duration.Seconds() / base.Seconds())
		took.add(float64(r.Duration.Milliseconds()))
		baseline.add(float64(base.Milliseconds()))
	}
	return []cell{{requests, ""}, {beyond, fmt.Sprintf("central directory %.2f MB", float64(directory)/1e6)},
		{pair{over, took}, "curl, funzip " + baseline.String()}}
}

// allDocuments copies all documents out of an archive of which nothing is cached. The
// baseline is to fetch the archive and unpack it. No side removes its files before the
// other makes its own: ext4 does not use the numbers of files again that were removed a
// moment ago, and looks through all of them for each new file.
func allDocuments(t *testing.T, u harness.User) []cell {
	s, dir, id := documentServer(t)
	config := curlConfig(t, u)
	requests, over, took, baseline := count(), ratio(), seconds(), seconds()
	for i := range *runs {
		out := harness.Dir(t, u)
		base := sh(t, u, out, `curl -sfK `+config+` -o x.zip '`+contentURL(s, id)+`' && unzip -q x.zip -d unzipped`).Duration
		sh(t, u, out, `rm x.zip`)
		harness.Sh(t, "sync")
		m := harness.StartMount(t, s, harness.MountOptions{User: u, LogLevel: "info", Flags: []string{"--cache-size", "20G"}})
		n := stat(t, s, "content")
		adopt(t, m, id)
		r := sh(t, u, out, `cp -rL '`+m.Downloads+`/`+id+`/contents/' copied`)
		m.Unmount(t)
		requests.add(stat(t, s, "content") - n)
		if i == 0 {
			sh(t, u, out, `diff -r copied '`+dir+`'`)
		}
		over.add(r.Duration.Seconds() / base.Seconds())
		took.add(r.Duration.Seconds())
		baseline.add(base.Seconds())
	}
	return []cell{{requests, ""}, {pair{over, took}, "curl, unzip " + baseline.String()}}
}

// cachedDocuments compares contents of a cached archive with fuse-zip on a copy of it,
// and with the same files unpacked.
func cachedDocuments(t *testing.T, u harness.User) []cell {
	s, dir, id := documentServer(t)
	work := harness.Dir(t, u)
	curl(t, s, u, id, work+"/x.zip")
	sh(t, u, work, "mkdir mnt")
	list, all, one := ratio(), ratio(), ratio()
	listBase, allBase, oneBase, again, againBase := seconds(), seconds(), milliseconds(), ratio(), seconds()
	memory := warmed()
	const readAll, readOne = `find -L . -type f -exec cat {} + >/dev/null`, `cat '` + theOne + `' >/dev/null`
	for range *runs {
		start := time.Now()
		sh(t, u, work, "fuse-zip -r x.zip mnt")
		mounted := time.Since(start) // it reads the directory now, contents when it is used
		at := work + "/mnt"
		oneB := sh(t, u, at, readOne).Duration
		listB := sh(t, u, at, `ls -lR . >/dev/null`).Duration
		memory.before(t, *size)
		allB := sh(t, u, at, readAll).Duration
		sh(t, u, work, "fusermount -u mnt")

		m := mount(t, s, u)
		adopt(t, m, id)
		long(m.Cmd("cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		at = m.Downloads + "/" + id + "/contents/"
		a := sh(t, u, at, readOne).Duration
		b := sh(t, u, at, `ls -lR . >/dev/null`).Duration
		memory.before(t, *size)
		c := sh(t, u, at, readAll).Duration
		one.add(a.Seconds() / (oneB + mounted).Seconds())
		list.add(b.Seconds() / listB.Seconds())
		all.add(c.Seconds() / allB.Seconds())
		oneBase.add(float64((oneB + mounted).Milliseconds()))
		listBase.add(listB.Seconds())
		allBase.add(allB.Seconds())

		const grep = `grep -rc 'no such text' . >/dev/null || [ $? = 1 ]`
		sh(t, u, dir, grep)
		plain := sh(t, u, dir, grep).Duration
		sh(t, u, at, grep)
		second := sh(t, u, at, grep).Duration
		again.add(second.Seconds() / plain.Seconds())
		againBase.add(plain.Seconds())
		m.Unmount(t)
	}
	return []cell{
		{list, "fuse-zip " + listBase.String()}, {all, "fuse-zip " + allBase.String() + "; " + memory.String()}, {one, "fuse-zip " + oneBase.String()},
		{again, "unpacked " + againBase.String()},
	}
}

// textFile writes a file of n bytes of text that packs as reports do.
func textFile(t *testing.T, path string, n int64, seed uint64) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	r := rand.New(rand.NewPCG(seed, 1))
	for n > 0 {
		var b strings.Builder
		for b.Len() < 1<<20 {
			fmt.Fprintf(&b, "line %d of the report, %x\n", r.IntN(100_000), r.Uint32())
		}
		m := min(n, int64(b.Len()))
		_, err := f.WriteString(b.String()[:m])
		require.NoError(t, err)
		n -= m
	}
}

// largeDocument reads one packed document of a gigabyte, and seeks in it.
func largeDocument(t *testing.T, u harness.User) []cell {
	dir := harness.Dir(t, harness.User{})
	textFile(t, dir+"/large.txt", *size/2, 1)
	s := harness.StartServer(t, dir, "--max-content-size", "8G")
	id := zipped(t, s, "large.txt")
	native := filepath.Join(harness.Dir(t, u), "x.zip")
	curl(t, s, u, id, native)
	over, speed, baseline, worst := ratio(), megabytes(), megabytes(), milliseconds()
	for range *runs {
		m := mount(t, s, u)
		adopt(t, m, id)
		long(m.Cmd("cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		base := sh(t, u, "/", "unzip -p '"+native+"' >/dev/null").Duration
		took := long(m.Cmd("cat " + id + "/contents/large.txt >/dev/null")).Run(t).OK(t).Duration
		over.add(base.Seconds() / took.Seconds())
		speed.add(mb(*size/2, took))
		baseline.add(mb(*size/2, base))
		// Direct I/O goes past the kernel's memory.
		text := long(m.Cmd(`exec python3 - ` + id + `/contents/large.txt <<'EOF'
import os,sys,random,time,mmap
n=os.path.getsize(sys.argv[1]); worst=0
for i in range(50):
    f=os.open(sys.argv[1],os.O_RDONLY)
    os.posix_fadvise(f,0,0,os.POSIX_FADV_DONTNEED); os.posix_fadvise(f,0,0,os.POSIX_FADV_RANDOM)
    at=random.randrange(n//4,n-n//4)
    t=time.monotonic(); assert len(os.pread(f,131072,at))==131072; worst=max(worst,time.monotonic()-t)
    os.close(f)
print(worst*1000)
EOF`)).Run(t).Out(t)
		var ms float64
		_, err := fmt.Sscan(text, &ms)
		require.NoError(t, err)
		worst.add(ms)
		m.Unmount(t)
	}
	return []cell{{pair{over, speed}, "unzip -p " + baseline.String()}, {worst, "50 seeks"}}
}

// unpackingMemory measures the resident memory of a mount with 8 readers of packed
// documents.
func unpackingMemory(t *testing.T, u harness.User) []cell {
	dir := harness.Dir(t, harness.User{})
	require.NoError(t, os.Mkdir(dir+"/folder", 0o755))
	for i := range 8 {
		textFile(t, fmt.Sprintf("%s/folder/%d.txt", dir, i), *size/16, uint64(i))
	}
	s := harness.StartServer(t, dir, "--max-content-size", "8G")
	id := zipped(t, s, "folder")
	read := func(m *harness.Mount) float64 {
		long(m.Cmd(`cd ` + id + `/contents/folder; for i in *.txt; do cat $i >/dev/null & done; wait`)).Run(t).OK(t)
		_, most := m.Resident(t)
		m.Unmount(t)
		return float64(most) / 1e6
	}
	cold, cached := resident(), resident()
	for range *runs {
		m := mount(t, s, u)
		adopt(t, m, id)
		cold.add(read(m))
		dir := harness.Dir(t, u)
		options := harness.MountOptions{User: u, LogLevel: "info", StateDir: dir + "/state", CacheDir: dir + "/cache"}
		m = harness.StartMount(t, s, options)
		adopt(t, m, id)
		long(m.Cmd("cat " + id + "/archive.zip >/dev/null")).Run(t).OK(t)
		m.Unmount(t)
		cached.add(read(harness.StartMount(t, s, options)))
	}
	each := fmt.Sprintf("%d MB each", *size/16/1e6)
	return []cell{{cached, each}, {cold, each}}
}

// folders is how many folders millionDocuments makes, each with inFolder documents.
const folders, inFolder = 1000, 1000

// millionDocuments makes a tree of a million documents of size bytes in "folder" of the
// directory that it returns. The documents of a folder are one file with many names:
// a million files would take minutes to make, and to remove.
func millionDocuments(t *testing.T, size int64) (dir string) {
	dir = harness.Dir(t, harness.User{})
	for i := range folders {
		d := fmt.Sprintf("%s/folder/%04d", dir, i)
		require.NoError(t, os.MkdirAll(d, 0o755))
		name := func(j int) string {
			return fmt.Sprintf("%s/a document with a name of some length %07d.txt", d, i*inFolder+j)
		}
		sparse(t, name(0), size)
		for j := 1; j < inFolder; j++ {
			require.NoError(t, os.Link(name(0), name(j)))
		}
	}
	return dir
}

// manyEntries lists an archive of a million entries, of which nothing is cached.
func manyEntries(t *testing.T, u harness.User) []cell {
	dir := millionDocuments(t, 0)
	s := harness.StartServer(t, dir)
	id := zipped(t, s, "folder")
	f, first, baseline := resident(), seconds(), seconds()
	config := curlConfig(t, u)
	for range *runs {
		base := sh(t, u, "/", `curl -sfK `+config+` '`+contentURL(s, id)+`' -o /dev/null`).Duration
		m := mount(t, s, u)
		adopt(t, m, id)
		r := long(m.Cmd("ls " + id + "/contents/folder | wc -l")).Run(t)
		require.Equal(t, fmt.Sprintln(folders), r.OK(t).Stdout)
		first.add(r.Duration.Seconds())
		baseline.add(base.Seconds())
		long(m.Cmd("find -L " + id + "/contents/ | wc -l")).Run(t).OK(t)
		_, most := m.Resident(t)
		f.add(float64(most) / 1e6)
		m.Unmount(t)
	}
	return []cell{{f, ""}, {first, "curl of the archive " + baseline.String()}}
}
