package fs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// background starts a script and returns its outcome when it ends.
type background struct {
	*exec.Cmd
	out  *lockedBuffer
	done chan error
}

func (m *testMount) background(script string) *background {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	b := &background{Cmd: m.command(ctx, script), out: &lockedBuffer{}, done: make(chan error, 1)}
	b.Stdout, b.Stderr = b.out, b.out
	require.NoError(m, b.Start())
	go func() { defer cancel(); b.done <- b.Wait() }()
	m.Cleanup(func() { cancel() })
	return b
}

func (m *testMount) ended(b *background, within time.Duration) error {
	m.Helper()
	select {
	case err := <-b.done:
		return err
	case <-time.After(within):
		require.FailNow(m, "still running", b.out.String())
		return nil
	}
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Whatever a tool does first, it gets the bytes of an archive that is pending
// when it starts.
// Proves S-17.
func TestArchiveWaits(t *testing.T) {
	const size = 3<<20 + 4711
	tests := map[string]string{
		"cat":       `cat $D/d1/archive.zip | sha256sum`,
		"redirect":  `sha256sum < $D/d1/archive.zip`,
		"cp":        `cp $D/d1/archive.zip $T; sha256sum < $T`,
		"cp -r":     `cp -r $D/d1 $T; sha256sum < $T/archive.zip`,
		"cp -a":     `cp -a $D/d1 $T; sha256sum < $T/archive.zip`,
		"dd":        `dd if=$D/d1/archive.zip bs=1M status=none | sha256sum`,
		"busybox":   `busybox cp $D/d1/archive.zip $T; sha256sum < $T`,
		"tar file":  `tar c -C $D/d1 archive.zip | tar xO | sha256sum`,
		"tar dir":   `tar c -C $D d1 | tar xO d1/archive.zip | sha256sum`,
		"bsdtar":    `bsdtar c -C $D/d1 archive.zip | tar xO | sha256sum`,
		"rsync":     `rsync -a $D/d1/ $T; sha256sum < $T/archive.zip`,
		"mv":        `mv $D/d1/archive.zip $T; sha256sum < $T`,
		"stat then": `python3 -c "import os;p='$D/d1/archive.zip';n=os.stat(p).st_size;print(n==len(open(p,'rb').read())==3150439)" | grep True; sha256sum < $D/d1/archive.zip`,
		"sendfile": `python3 -c "
import os,sys
f=os.open('$D/d1/archive.zip',os.O_RDONLY)
o=os.open('$T',os.O_WRONLY|os.O_CREAT)
while os.sendfile(o,f,None,1<<30): pass
"; sha256sum < $T`,
		"mmap": `python3 -c "
import os,sys,mmap
f=os.open('$D/d1/archive.zip',os.O_RDONLY)
sys.stdout.buffer.write(mmap.mmap(f,0,prot=mmap.PROT_READ)[:])
" | sha256sum`,
		"seek end": `python3 -c "
import os,sys
f=os.open('$D/d1/archive.zip',os.O_RDONLY)
n=os.lseek(f,0,2)
sys.stdout.buffer.write(os.pread(f,n,0))
" | sha256sum`,
		"gio copy": `gio copy $D/d1/archive.zip $T; sha256sum < $T`,
		"tail":     `tail -c +1 $D/d1/archive.zip | sha256sum`,
		"head":     `head -c 3150439 $D/d1/archive.zip | sha256sum`,
	}
	// The size shown before: none, too little, too much.
	for _, totalBytes := range []int64{0, 1000, 50 << 20} {
		for name, script := range tests {
			t.Run(name, func(t *testing.T) {
				m := newTestMount(t)
				d := m.domain.add("d1", nil)
				d.set(func(s *download.Snapshot) { s.TotalBytes = totalBytes })
				file, data := m.archive(size)
				b := m.background("set -o pipefail; T=" + t.TempDir() + "/t; " + script)
				m.eventually(func() bool { return d.waiting() > 0 }, "the tool waits")
				d.finish(file, totalBytes == 1000)
				require.NoError(t, m.ended(b, 20*time.Second), b.out.String())
				assert.Contains(t, b.out.String(), hash(data))
			})
		}
	}
}

// A program that opens a descriptor again, which leaves the kernel with the wrong size,
// may fail. It gets no zeros behind the archive's end.
// Proves S-20.
func TestArchiveThroughDescriptor(t *testing.T) {
	for range 5 {
		m := newTestMount(t)
		d := m.domain.add("d1", nil)
		file, data := m.archive(3 << 20)
		b := m.background(`python3 -c "
import os,sys
p=os.open('$D/d1/archive.zip',os.O_PATH)
f=os.open('/proc/self/fd/%d'%p,os.O_RDONLY)
o=os.open('` + t.TempDir() + `/t',os.O_RDWR|os.O_CREAT)
try:
  os.sendfile(o,f,8<<20,4096)
  os.ftruncate(o,0)
  os.lseek(o,0,0)
  n=0
  while k:=os.sendfile(o,f,n,1<<24): n+=k
except OSError as e:
  print(e)
os.lseek(o,0,0)
got=os.read(o,1<<30)
print(len(got),got.count(0))
"`)
		m.eventually(func() bool { return d.waiting() > 0 }, "the tool waits")
		d.finish(file, false)
		require.NoError(t, m.ended(b, 20*time.Second), b.out.String())
		assert.Regexp(t, fmt.Sprintf(`^%d %d\n$|Input/output error`, len(data), bytes.Count(data, []byte{0})), b.out.String())
	}
}

// A reader that waits goes on if the download is renamed meanwhile.
// Proves S-26.
func TestArchiveRenamedWhileWaiting(t *testing.T) {
	for _, totalBytes := range []int64{0, 50 << 20} {
		for name, script := range map[string]string{
			"cat":      `cat $D/d1/archive.zip | sha256sum`,
			"redirect": `sha256sum < $D/d1/archive.zip`,
			"sendfile": `python3 -c "
import os,sys
f=os.open('$D/d1/archive.zip',os.O_RDONLY)
o=os.open('$T',os.O_WRONLY|os.O_CREAT)
while os.sendfile(o,f,None,1<<30): pass
"; sha256sum < $T`,
		} {
			t.Run(name, func(t *testing.T) {
				m := newTestMount(t)
				d := m.domain.add("d1", nil)
				d.set(func(s *download.Snapshot) { s.TotalBytes = totalBytes })
				file, data := m.archive(3<<20 + 4711)
				m.ok(`ls -l $D/d1`) // tells the kernel a size
				b := m.background("set -o pipefail; T=" + t.TempDir() + "/t; " + script)
				m.eventually(func() bool { return d.waiting() > 0 }, "the tool waits")
				m.ok(`mv $D/d1 $D/q3`)
				d.finish(file, false)
				require.NoError(t, m.ended(b, 20*time.Second), b.out.String())
				assert.Contains(t, b.out.String(), hash(data))
			})
		}
	}
}

// A caller that browses gets an answer at once.
// Proves S-16, S-114.
func TestArchiveBrowsing(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	d.set(func(s *download.Snapshot) { s.TotalBytes = 4321 })
	for _, script := range []string{
		`ls -l $D/d1`, `ls -lR $M`, `find $M -ls`, `du -a $M`, `stat $D/d1/archive.zip`,
		`getfattr -d $D/d1/archive.zip; true`, `test -r $D/d1/status`, `gio info $D/d1/archive.zip`, `gio list -l $D/d1`,
		`cat $D/d1/status`, `unlink $D/d1/status`, `python3 -c "import os,sys;os.access(sys.argv[1],os.R_OK)" $D/d1/archive.zip`,
	} {
		start := time.Now()
		out, err := m.sh("timeout 3 bash -c '" + script + "'")
		assert.NoError(t, err, "%s\n%s", script, out)
		assert.Less(t, time.Since(start), 2*time.Second, script)
	}
	assert.Contains(t, m.ok(`ls -l $D/d1`), fmt.Sprintf(" %d ", new(sizes).bound(d.Snapshot())))
	assert.Contains(t, m.ok(`du -ak $D/d1`), "4\t"+m.dir+"/downloads/d1/archive.zip\n", "nothing of it is there")
	assert.Zero(t, d.waiting())
	out, err := m.sh(`python3 -c "import os;os.open('$D/d1/archive.zip',os.O_NONBLOCK)"`)
	assert.Error(t, err)
	assert.Contains(t, out, "BlockingIOError")
}

func TestArchiveRemovedWhileWaiting(t *testing.T) {
	for _, script := range []string{`rmdir $D/d1`, `rm -r $D/d1`, `unlink $D/d1/archive.zip`} {
		t.Run(script, func(t *testing.T) {
			m := newTestMount(t)
			d := m.domain.add("d1", nil)
			b := m.background(`cat $D/d1/archive.zip`)
			m.eventually(func() bool { return d.waiting() == 1 }, "cat waits")
			m.ok(script)
			require.Error(t, m.ended(b, time.Second))
			assert.Contains(t, b.out.String(), "Operation canceled")
		})
	}
}

// Proves S-18.
func TestArchiveInterrupt(t *testing.T) {
	for _, test := range []struct {
		name   string
		prog   string
		signal syscall.Signal
		ends   bool
	}{
		{"int", `exec cat $D/d1/archive.zip`, syscall.SIGINT, true},
		{"kill", `exec cat $D/d1/archive.zip`, syscall.SIGKILL, true},
		{"winch handled", `exec python3 -c "
import signal
signal.signal(signal.SIGWINCH, lambda *a: None)
open('$D/d1/archive.zip')"`, syscall.SIGWINCH, false},
		{"urg handled", `exec python3 -c "
import signal
signal.signal(signal.SIGURG, lambda *a: None)
open('$D/d1/archive.zip')"`, syscall.SIGURG, false},
		{"usr1 handled", `exec python3 -c "
import signal, os
def stop(*a): os._exit(3)
signal.signal(signal.SIGUSR1, stop)
open('$D/d1/archive.zip')"`, syscall.SIGUSR1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newTestMount(t)
			d := m.domain.add("d1", nil)
			b := m.background(test.prog)
			m.eventually(func() bool { return d.waiting() == 1 }, "it waits")
			require.NoError(t, b.Process.Signal(test.signal))
			if !test.ends {
				time.Sleep(3 * watchInterval)
				require.Equal(t, 1, d.waiting(), "still waiting")
				// The kernel has told of one interrupt; it tells of no other.
				require.NoError(t, b.Process.Signal(syscall.SIGKILL))
			}
			require.Error(t, m.ended(b, time.Second))
			m.eventually(func() bool { return d.waiting() == 0 }, "nobody waits")
		})
	}
}

// A reader that is stopped and goes on has lost nothing.
func TestArchiveStopped(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	file, data := m.archive(100_000)
	b := m.background(`exec sha256sum $D/d1/archive.zip`)
	m.eventually(func() bool { return d.waiting() == 1 }, "it waits")
	require.NoError(t, b.Process.Signal(syscall.SIGTSTP))
	time.Sleep(2 * watchInterval)
	require.NoError(t, b.Process.Signal(syscall.SIGCONT))
	d.finish(file, false)
	require.NoError(t, m.ended(b, 5*time.Second), b.out.String())
	assert.Contains(t, b.out.String(), hash(data))
}

// With --wait open no stat waits, and what opens first is served as ever.
func TestArchiveWaitOpen(t *testing.T) {
	m := newTestMount(t, func(c *Config) { c.WaitOpen = true })
	d := m.domain.add("d1", nil)
	assert.Equal(t, fmt.Sprint(serverLimit+serverLimit/8), m.ok(`timeout 3 python3 -c "import os;print(os.stat('$D/d1/archive.zip').st_size)"`))
	file, data := m.archive(100_000)
	b := m.background(`cat $D/d1/archive.zip | sha256sum`)
	m.eventually(func() bool { return d.waiting() == 1 }, "cat waits")
	d.finish(file, false)
	require.NoError(t, m.ended(b, 5*time.Second))
	assert.Contains(t, b.out.String(), hash(data))
}

// A waiter is told why there is no archive; who comes later can still look.
func TestArchiveFails(t *testing.T) {
	for _, test := range []struct {
		status download.Status
		err    error
		says   string
	}{
		{download.StatusTooLarge, download.ErrTooLarge, "File too large"},
		{download.StatusExpired, download.ErrExpired, "Stale file handle"},
		{download.StatusPending, download.ErrStalled, "Connection timed out"},
		{download.StatusPending, download.ErrUnauthorized, "Permission denied"},
		{download.StatusPending, download.ErrUnavailable, "No route to host"},
		{download.StatusPending, download.ErrClosed, "Transport endpoint is not connected"},
		{download.StatusPending, errors.New("nobody foresaw this"), "Input/output error"},
	} {
		t.Run(test.says, func(t *testing.T) {
			m := newTestMount(t)
			d := m.domain.add("d1", nil)
			opener := m.background(`cat $D/d1/archive.zip`)
			toucher := m.background(`python3 -c "import os;os.stat('$D/d1/archive.zip')"`)
			m.eventually(func() bool { return d.waiting() == 2 }, "both wait")
			d.set(func(s *download.Snapshot) {
				s.Status, s.Err = test.status, fmt.Errorf("the archive of d1: %w", test.err)
			})
			require.Error(t, m.ended(opener, time.Second))
			assert.Contains(t, opener.out.String(), test.says)
			err := m.ended(toucher, time.Second)
			if test.status == download.StatusExpired {
				// Upon ESTALE the kernel asks again, and by then it has ended.
				require.NoError(t, err, toucher.out.String())
			} else {
				require.Error(t, err)
				assert.Contains(t, toucher.out.String(), test.says)
			}
			out, err := m.sh(`cat $D/d1/archive.zip`)
			require.Error(t, err)
			assert.Contains(t, out, test.says)
			assert.Contains(t, m.ok(`ls -l $D/d1; cat $D/d1/status`), "error: 'the archive of d1: ")
			m.ok(`rm -r $D/d1`)
		})
	}
}
