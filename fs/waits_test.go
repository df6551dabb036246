package fs

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Proves S-110.
func TestForPeople(t *testing.T) {
	for args, want := range map[string]bool{
		"stat":                            true,
		"stat archive.zip":                true,
		"stat -L archive.zip":             true,
		"stat -- -c":                      true,
		"stat --cached=never archive.zip": true,
		"stat -c %s archive.zip":          false,
		"stat -Lc %s archive.zip":         false,
		"stat archive.zip -c%s":           false,
		"stat --format=%s archive.zip":    false,
		"stat --printf %s archive.zip":    false,
		"stat -t archive.zip":             false,
		"stat --terse archive.zip":        false,
	} {
		assert.Equal(t, want, forPeople(strings.Fields(args)), args)
	}
	assert.True(t, forPeople(nil))
}

// patient is a program that looks at an archive again and again, a line of its
// input each time, after what it was seen to do is too long ago to count.
const patient = `
import ctypes, os, sys, time
d, f = sys.argv[1], sys.argv[1] + "/archive.zip"
libc = ctypes.CDLL(None, use_errno=True)
def watch(path):
    libc.inotify_add_watch(libc.inotify_init(), path.encode(), 0x100)
`

// A caller that is seen to browse does not wait while it does so, whatever it did
// before. Otherwise it waits.
// Proves S-110, S-111.
func TestWhoBrowses(t *testing.T) {
	libgio := ""
	if out, err := exec.Command("sh", "-c", "ldconfig -p | sed -n 's/.*libgio-2.0.so.0 .*=> //p' | head -1").Output(); err == nil {
		libgio = strings.TrimSpace(string(out))
	}
	for name, test := range map[string]struct {
		program string
		waits   bool
	}{
		"does nothing":                 {``, true},
		"watches another directory":    {`watch("/tmp")`, true},
		"watches the directory":        {`watch(d)`, false},
		"watches the archive":          {`watch(f)`, false},
		"watches downloads":            {`watch(os.path.dirname(d))`, false},
		"watches the mount":            {`watch(os.path.dirname(os.path.dirname(d)))`, false},
		"holds the directory open":     {`os.open(d, os.O_RDONLY)`, false},
		"holds another directory open": {`os.open(d + "/..", os.O_RDONLY)`, true},
		"has listed it":                {`os.listdir(d)`, false},
		"listed it long ago":           {`os.listdir(d); time.sleep(2.1)`, true},
		"asks how full it is":          {`os.statvfs(f)`, false},
		"asked that long ago":          {`os.statvfs(d); time.sleep(2.1)`, true},
		"has GIO":                      {`ctypes.CDLL("` + libgio + `")`, false},
		"is rm":                        {`open("/proc/self/comm", "w").write("rm")`, false},
		"lists, and is bsdtar":         {`open("/proc/self/comm", "w").write("bsdtar"); os.listdir(d)`, true},
		"wants the birth time": {`
buffer = ctypes.create_string_buffer(256)
libc.statx(-100, f.encode(), 0, 0xfff, buffer)`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(test.program, `CDLL("")`) {
				t.Skip("GLib is not installed")
			}
			m := newTestMount(t)
			d := m.domain.add("d1", nil)
			m.domain.add("d2", nil)
			d.set(func(s *download.Snapshot) { s.TotalBytes = 1000 })
			b := m.background("exec python3 -c '" + patient + test.program + "\nprint(os.stat(f).st_size)' $D/d1")
			if test.waits {
				m.eventually(func() bool { return d.waiting() == 1 }, "it waits")
				file, _ := m.archive(100)
				d.finish(file, false)
			}
			require.NoError(t, m.ended(b, 10*time.Second), b.out.String())
			if test.waits {
				assert.Equal(t, "100\n", b.out.String())
			} else {
				assert.NotEqual(t, "100\n", b.out.String())
			}
		})
	}
}

// Engrampa and Ark draw their windows on their first thread, which only looks what kind
// of file an archive is. It does not wait, but other threads and children do.
// Proves S-192.
func TestArchiveProgramsSniff(t *testing.T) {
	m := newTestMount(t)
	d := m.domain.add("d1", nil)
	const open = `
import subprocess, threading
open("/proc/self/comm", "w").write("engrampa")
try:
    open(f)
except BlockingIOError:
    print("not yet")
`
	b := m.background("exec python3 -c '" + patient + open + `
threading.Thread(target=lambda: print(len(open(f, "rb").read()))).start()` + "' $D/d1")
	m.eventually(func() bool { return d.waiting() == 1 }, "a thread waits")
	child := m.background("exec python3 -c '" + patient + open + `
print(subprocess.run(["cat", f], capture_output=True).returncode)` + "' $D/d1")
	m.eventually(func() bool { return d.waiting() == 2 }, "a child waits")
	file, _ := m.archive(100)
	d.finish(file, false)
	require.NoError(t, m.ended(b, 10*time.Second), b.out.String())
	require.NoError(t, m.ended(child, 10*time.Second), child.out.String())
	assert.Equal(t, "not yet\n100\n", b.out.String())
	assert.Equal(t, "not yet\n0\n", child.out.String())
}
