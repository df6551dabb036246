package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"

	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// outcome is what a program makes of an archive that is pending when it looks.
type outcome int

const (
	right outcome = iota // the archive's bytes, and exit code 0
	loud                 // an exit code that is not 0
	// zeros are the archive's bytes, with zeros behind them, and exit code 0: the
	// program does not look how much a read gave.
	zeros
)

// believer is a program that looks at a pending archive first and then uses it,
// and that may believe the size it has seen.
type believer struct {
	name string
	// script is run by sh in an empty directory. $d is the download's directory, $f
	// its archive, $p where the programs of testdata are. What is read of the archive
	// ends up in the file "got".
	script string
	want   outcome
}

// unpackTar makes the archive in x.tar the file "got".
const unpackTar = ` && tar xf x.tar && find . -name archive.zip -exec mv {} got \;`

var believers = []believer{
	// Archivers, of a directory.
	{"tar", `tar cf x.tar --exclude 'status*' -C "$d" .` + unpackTar, right}, // status changes meanwhile
	{"tar --sparse", `tar cSf x.tar --exclude 'status*' -C "$d" .` + unpackTar, right},
	{"bsdtar", `bsdtar cf x.tar -C "$d" .` + unpackTar, right},
	{"bsdtar, called tar", `ln -s /usr/bin/bsdtar tar && ./tar cf x.tar -C "$d" .` + unpackTar, right},
	{"bsdtar, zip", `bsdtar -cf x.zip --format zip -C "$d" . && unzip -q x.zip && mv archive.zip got`, right},
	{"busybox tar", `busybox tar cf x.tar -C "$d" .` + unpackTar, loud},
	{"zip -r", `(cd "$d" && zip -qr - .) > x.zip && unzip -q x.zip && mv archive.zip got`, right},
	{"7z a", `7z a x.7z "$d/archive.zip" > log && 7z x x.7z > log && mv archive.zip got`, right},
	{"find | cpio", `(cd "$d" && find . -name archive.zip | cpio -o -H newc --quiet) > x.cpio && cpio -i --quiet < x.cpio && mv archive.zip got`, right},
	{"pax", `(cd "$d" && pax -w -s '/.*status.*//' .) > x.tar` + unpackTar, loud},
	// Copiers, of a directory.
	{"cp -r", `cp -r "$d" tree && mv tree/archive.zip got`, right},
	{"cp -a --sparse", `cp -a --sparse=always "$d" tree && mv tree/archive.zip got`, right},
	{"busybox cp -r", `busybox cp -r "$d" tree && mv tree/archive.zip got`, right},
	{"rsync -a", `rsync -a "$d/" tree && mv tree/archive.zip got`, right},
	{"rsync --inplace", `rsync -a --inplace --whole-file "$d/" tree && mv tree/archive.zip got`, right},
	{"gio copy", `gio list -l "$d" > log && gio copy "$f" got`, right},
	// Shells: one program looks, another reads.
	{"ls, head -c", `size=$(ls -l "$d" | awk '/archive/ {print $5}') && head -c "$size" "$f" > got`, right},
	{"stat -c, head -c", `size=$(stat -c %s "$f") && head -c "$size" "$f" > got && [ "$(wc -c < got)" = "$size" ]`, right},
	{"find -size, cat", `find "$d" -name archive.zip -size +0 -exec cat {} + > got`, right},
	{"du, dd", `du -b "$d" > log && dd if="$f" of=got bs=64k status=none`, right},
	{"[ -s ], split", `[ -s "$f" ] && split -n 5 "$f" part. && cat part.* > got`, right},
	{"wc -c, tail -c", `tail -c "$(wc -c < "$f")" "$f" > got`, right},
	{"curl", `ls -l "$d" > log && curl -s -o got "file://$f"`, right},
	{"curl -T", `ls -l "$d" > log && curl -sf -o got -T "$f" "http://$SINK/"`, right},
	{"unzip", `ls -l "$d" > log && unzip -tqq "$f" && cp "$f" got`, right},
	// Python.
	{"python getsize, read", `python3 $p/believe.py getsize "$d"`, right},
	{"python listdir, getsize, read", `python3 $p/believe.py list-read "$d"`, right},
	{"python listdir, getsize, read all or fail", `python3 $p/believe.py list-strictly "$d"`, loud},
	{"python scandir, os.read", `python3 $p/believe.py scan-loop "$d"`, right},
	{"python sendfile", `python3 $p/believe.py list-sendfile "$d"`, right},
	{"python splice", `python3 $p/believe.py list-splice "$d"`, right},
	{"python mmap of the size", `python3 $p/believe.py list-mmap "$d"`, loud},
	{"python mmap of all", `python3 $p/believe.py list-mmap-all "$d"`, right},
	{"python upload with Content-Length", `python3 $p/believe.py list-upload "$d"`, loud},
	{"python tarfile of the directory", `python3 $p/believe.py tar-list "$d"`, loud},
	{"python tarfile of the file", `python3 $p/believe.py tar-file "$d"`, right},
	{"python make_archive zip", `python3 $p/believe.py make-zip "$d"`, right},
	{"python make_archive gztar", `python3 $p/believe.py make-tar "$d"`, loud},
	{"python copytree", `python3 $p/believe.py copytree "$d"`, right},
	{"python zipfile", `python3 $p/believe.py list-zipfile "$d"`, right},
	// Node: its stat always asks for the birth time.
	{"node stat, fill a buffer", `node $p/believe.js stat-fill "$d"`, right},
	{"node readdir, stat, fill a buffer", `node $p/believe.js list-fill "$d"`, right},
	{"node readdir, stat, fill a buffer, keep all", `node $p/believe.js list-fill-all "$d"`, zeros},
	{"node readdir, stat, fill a buffer or fail", `node $p/believe.js list-strictly "$d"`, loud},
	{"node readdir, stat, createReadStream", `node $p/believe.js list-stream "$d"`, right},
	{"node server of static files", `node $p/believe.js stat-serve "$d"`, right},
	{"node server that lists", `node $p/believe.js list-serve "$d"`, loud},
	{"node readFile", `node $p/believe.js list-readFile "$d"`, right},
	{"node cp", `node $p/believe.js cp "$d"`, right},
	// Java: so does its.
	{"java Files.size, readNBytes", `java $j Believe size "$d"`, right},
	{"java Files.walk, copy", `java $j Believe walk-copy "$d"`, right},
	{"java Files.walk, FileChannel.map", `java $j Believe walk-map "$d"`, loud},
	{"java Files.walk, transferTo", `java $j Believe walk-transfer "$d"`, right},
	{"java ZipFile, readAllBytes", `java $j Believe zip "$d"`, right},
	// Perl, Ruby, PHP.
	{"perl -s, sysread", `perl $p/believe.pl read "$d"`, right},
	{"perl -s, sysread all or fail", `perl $p/believe.pl strictly "$d"`, loud},
	{"perl File::Copy", `perl $p/believe.pl copy "$d"`, right},
	{"ruby File.size, binread", `ruby $p/believe.rb read "$d"`, right},
	{"ruby IO.copy_stream", `ruby $p/believe.rb copy_stream "$d"`, right},
	{"ruby readpartial all or fail", `ruby $p/believe.rb strictly "$d"`, loud},
	{"ruby cp_r", `ruby $p/believe.rb cp_r "$d"`, right},
	{"php filesize, fread", `php $p/believe.php fread "$d"`, right},
	{"php file_get_contents", `php $p/believe.php length "$d"`, right},
	{"php copy", `php $p/believe.php copy "$d"`, right},
	// Go, and what Rust asks.
	{"go Walk, ReadFile", `DOWNLOADFS_TEST_BELIEVER="walk-ReadFile $d" $self`, right},
	{"go CopyFS", `DOWNLOADFS_TEST_BELIEVER="CopyFS $d" $self`, right},
	{"go http.FileServer", `DOWNLOADFS_TEST_BELIEVER="walk-FileServer $d" $self`, right},
	{"go Walk, ReadFull", `DOWNLOADFS_TEST_BELIEVER="walk-ReadFull $d" $self`, loud},
	{"statx, ReadFull", `DOWNLOADFS_TEST_BELIEVER="statx-ReadFull $d" $self`, right},
}

// unlikeUncounted are the outcomes that differ while the server has not counted:
// more than 2 GiB are announced then.
var unlikeUncounted = map[string]outcome{
	"node readdir, stat, fill a buffer":           loud,
	"node readdir, stat, fill a buffer, keep all": loud,
}

// unlikeOpen are those that differ with --wait open, where no stat waits but that of
// programs that fill up with zeros.
var unlikeOpen = map[string]outcome{
	"unzip":                       loud,
	"node stat, fill a buffer":    zeros,
	"stat -c, head -c":            loud,
	"python tarfile of the file":  loud,
	"node server of static files": loud,
	"statx, ReadFull":             loud,
}

// TestBelievers: whatever a program has seen of an archive before it is ready, it
// gets the right bytes, or it fails. At worst it gets them with zeros behind them.
// Proves S-111, S-116.
func TestBelievers(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Abs("testdata/believers")
	require.NoError(t, err)
	for _, name := range []string{"bsdtar", "busybox", "zip", "7z", "cpio", "pax", "rsync", "gio", "curl", "unzip", "python3", "node", "java", "perl", "ruby", "php"} {
		harness.Tool(t, name)
	}
	classes := harness.Dir(t, harness.User{})
	harness.Cmd{Name: "javac", Args: []string{"-d", classes, programs + "/Believe.java"}}.Run(t).OK(t)
	for i, setup := range []struct {
		name   string
		entry  faults.Fault
		flags  []string
		size   string // that is shown
		unlike map[string]outcome
	}{
		{"counted", faults.Word("IN_PROGRESS"), nil, `^2\d{6}$`, nil},
		{"uncounted", faults.Entry("nothing counted", func(e map[string]any) {
			e["status"], e["bytesAdded"], e["totalBytes"], e["filesAdded"], e["totalFiles"] = "PENDING", 0, 0, 0, 0
		}), nil, `^2421958902$`, unlikeUncounted},
		{"--wait open", faults.Word("IN_PROGRESS"), []string{"--wait", "open"}, `^2\d{6}$`, unlikeOpen},
	} {
		if !harness.InShare(t, min(i, 1), setup.name) {
			continue
		}
		t.Run(setup.name, func(t *testing.T) {
			t.Parallel()
			sink := httptest.NewUnstartedServer(http.HandlerFunc(echo))
			sink.Config.ReadTimeout = 10 * time.Second // for the bytes that never come
			sink.Start()
			defer sink.Close()

			r := newFaultRig(t, harness.StartServer(t, harness.Samples(t)))
			pending := r.http.Inject(faults.Rule{On: faults.Get, Fault: setup.entry})
			r.mounted(t, setup.flags...)
			id := r.create(t)
			d := filepath.Join(r.mount.Downloads, id)
			harness.Eventually(t, harness.Timeout, func() bool {
				size := r.mount.Sh(t, `find `+id+` -name archive.zip -printf %s`).Out(t)
				return regexp.MustCompile(setup.size).MatchString(size)
			}, "the size is not shown")

			type run struct {
				believer
				dir string
				*harness.Process
			}
			var runs []run
			var processes []*harness.Process
			for _, b := range believers {
				dir := harness.Dir(t, harness.User{})
				script := fmt.Sprintf("d='%s' f='%s/archive.zip' p='%s' j='-Xshare:auto -XX:TieredStopAtLevel=1 -cp %s' self='%s'; %s",
					d, d, programs, classes, self(t), b.script)
				p := harness.Cmd{Dir: dir, Name: "sh", Args: []string{"-c", script}, Timeout: 3 * harness.Timeout,
					Env: []string{"HOME=" + dir, "SINK=" + sink.Listener.Addr().String()}}.Start(t)
				runs, processes = append(runs, run{b, dir, p}), append(processes, p)
			}
			harness.AllBlocked(t, processes...)
			pending.Remove()
			whole := fetch(t, r.server, id)
			for _, u := range runs {
				t.Run(u.name, func(t *testing.T) {
					got, want := u.Wait(), u.want
					if other, ok := setup.unlike[u.name]; ok {
						want = other
					}
					require.False(t, got.TimedOut, got.String())
					if want == loud {
						require.NotZero(t, got.Code, "it does not fail any more: %s", got)
						return
					}
					require.Zero(t, got.Code, got.String())
					if want == zeros {
						whole.assertPadded(t, filepath.Join(u.dir, "got"))
						return
					}
					whole.assertCopy(t, filepath.Join(u.dir, "got"))
				})
			}
		})
	}
}

// echo answers with what it was sent, if that was all.
func echo(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	_, _ = w.Write(data)
}
