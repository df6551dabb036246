package fs

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const procStatusText = `Name:	cat (deleted)
Umask:	0022
State:	S (sleeping)
Tgid:	4711
Ngid:	0
Pid:	4712
FDSize:	256
SigQ:	1/96000
SigPnd:	0000000000000100
ShdPnd:	0000000000000002
SigBlk:	0000000000010000
SigIgn:	0000000000001000
SigCgt:	0000000000400002
CapInh:	0000000000000000
`

func TestParseProcStatus(t *testing.T) {
	p, ok := parseProcStatus(procStatusText)
	require.True(t, ok)
	assert.Equal(t, 4711, p.tgid)
	assert.Equal(t, 256, p.fdSize)
	assert.Equal(t, signalSet(0x102), p.pending, "of the thread and of its group")
	assert.Equal(t, signalSet(0x10000), p.blocked)
	assert.Equal(t, signalSet(0x1000), p.ignored)
	assert.Equal(t, signalSet(0x400002), p.caught)
	for _, text := range []string{"", "Tgid", "Tgid: x\n", "\x00:\n:::\n"} {
		_, ok := parseProcStatus(text)
		assert.False(t, ok, "%q", text)
	}
}

func TestDisturbed(t *testing.T) {
	set := func(signals ...syscall.Signal) (s signalSet) {
		for _, sig := range signals {
			s |= 1 << (sig - 1)
		}
		return s
	}
	tests := map[string]struct {
		p    procStatus
		want bool
	}{
		"nothing":              {procStatus{}, false},
		"int by default":       {procStatus{pending: set(syscall.SIGINT)}, true},
		"int handled":          {procStatus{pending: set(syscall.SIGINT), caught: set(syscall.SIGINT)}, true},
		"int blocked":          {procStatus{pending: set(syscall.SIGINT), blocked: set(syscall.SIGINT)}, false},
		"int ignored":          {procStatus{pending: set(syscall.SIGINT), ignored: set(syscall.SIGINT)}, false},
		"kill":                 {procStatus{pending: set(syscall.SIGKILL)}, true},
		"alarm handled":        {procStatus{pending: set(syscall.SIGALRM), caught: set(syscall.SIGALRM)}, true},
		"real time":            {procStatus{pending: set(40)}, true},
		"the last signal":      {procStatus{pending: set(64)}, true},
		"urg handled":          {procStatus{pending: set(syscall.SIGURG), caught: set(syscall.SIGURG)}, false},
		"winch handled":        {procStatus{pending: set(syscall.SIGWINCH), caught: set(syscall.SIGWINCH)}, false},
		"child handled":        {procStatus{pending: set(syscall.SIGCHLD), caught: set(syscall.SIGCHLD)}, false},
		"prof handled":         {procStatus{pending: set(syscall.SIGPROF), caught: set(syscall.SIGPROF)}, false},
		"urg by default":       {procStatus{pending: set(syscall.SIGURG)}, false},
		"urg and kill":         {procStatus{pending: set(syscall.SIGURG, syscall.SIGKILL), caught: set(syscall.SIGURG)}, true},
		"terminal stop":        {procStatus{pending: set(syscall.SIGTSTP)}, false},
		"terminal stop caught": {procStatus{pending: set(syscall.SIGTSTP), caught: set(syscall.SIGTSTP)}, true},
	}
	for name, test := range tests {
		assert.Equal(t, test.want, test.p.disturbed(), name)
	}
}

func TestExitSignal(t *testing.T) {
	// As the kernel writes it, with a name that tries to look like more fields.
	stat := func(code string) string {
		return "4711 (a) b 0 (x)) S 1 2 3 " + strings.Repeat("0 ", 45) + code + "\n"
	}
	assert.Equal(t, 0, exitSignal(stat("0")))
	assert.Equal(t, 9, exitSignal(stat("9")))
	assert.Equal(t, 11, exitSignal(stat("139")), "with a core dump")
	assert.Equal(t, 0, exitSignal(stat("768")), "exit(3)")
	for _, text := range []string{"", ")", "4711 (cat) S 1", "4711 (cat"} {
		assert.Zero(t, exitSignal(text), "%q", text)
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip("no /proc here")
	}
	assert.Len(t, strings.Fields(string(own[strings.LastIndexByte(string(own), ')')+1:])), 50, "exit_code is the last field")
}

func TestFdinfo(t *testing.T) {
	const text = "pos:\t0\nflags:\t0100001\nmnt_id:\t29\nino:\t4\n"
	assert.Equal(t, "4", fdinfo(text, "ino"))
	assert.Equal(t, "29", fdinfo(text, "mnt_id"))
	assert.Empty(t, fdinfo("pos:\t0\nflags:\t0100001\nmnt_id:\t29\n", "ino"))
	assert.Empty(t, fdinfo("", "ino"))
}

func TestMountDevices(t *testing.T) {
	assert.Equal(t, map[string]string{"29": "0:57", "30": "8:1"},
		mountDevices("29 1 0:57 / /mnt rw - fuse.downloadfs x rw\n30 1 8:1 / / rw - ext4 /dev/sda rw\n31\n"))
	assert.Empty(t, mountDevices(""))
}

func TestWatchesAny(t *testing.T) {
	const text = "pos:\t0\nflags:\t02000000\nmnt_id:\t15\nino:\t63\n" +
		"inotify wd:2 ino:100 sdev:39 mask:100 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:00\n" +
		"inotify wd:1 ino:1a0 sdev:800001 mask:fce ignored_mask:0\n"
	assert.True(t, watchesAny(text, "0:57", []uint64{1, 0x100}))
	assert.False(t, watchesAny(text, "0:57", []uint64{0x1a0}), "on another device")
	assert.True(t, watchesAny(text, "8:1", []uint64{0x1a0}))
	assert.False(t, watchesAny(text, "0:57", []uint64{0x63, 63}), "the descriptor's own number")
	assert.True(t, watchesAny("fanotify ino:3 sdev:39 mflags:0 mask:20 ignored_mask:0\n", "0:57", []uint64{3}))
	for _, device := range []string{"", "57", "0:", "a:b"} {
		assert.False(t, watchesAny(text, device, []uint64{0x100}), device)
	}
	assert.False(t, watchesAny("", "0:57", []uint64{1}))
}

// FuzzProc: no text of /proc, whose names processes choose, does harm.
func FuzzProc(f *testing.F) {
	f.Add(procStatusText)
	f.Add("1 (\n) ) S")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parseProcStatus(text); ok && p.disturbed() && p.pending == 0 {
			t.Error("disturbed by nothing")
		}
		if n := exitSignal(text); n < 0 || n > 127 {
			t.Errorf("signal %d", n)
		}
		fdinfo(text, "ino")
		mountDevices(text)
		watchesAny(text, "0:57", []uint64{1})
	})
}
