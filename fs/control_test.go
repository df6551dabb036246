package fs

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

const (
	idA = "11111111-1111-4111-8111-111111111111"
	idB = "22222222-2222-4222-8222-222222222222"
)

// Each way of writing the control file makes one download, which is there when
// the writer's close returns.
// Proves S-2, S-124.
func TestControlWays(t *testing.T) {
	tests := map[string]struct {
		script string
		nodes  []string
	}{
		"echo":              {`echo @A > $D/new`, []string{idA}},
		"printf":            {`printf '@A\n@B' > $D/new`, []string{idA, idB}},
		"append":            {`echo @A >> $D/new`, []string{idA}},
		"cat":               {`echo @A | cat > $D/new`, []string{idA}},
		"cp":                {`echo @A > $T; cp $T $D/new`, []string{idA}},
		"tee":               {`echo @A | tee $D/new > /dev/null`, []string{idA}},
		"dd":                {`echo @A | dd of=$D/new status=none`, []string{idA}},
		"dd bytes":          {`echo @A | dd of=$D/new bs=1 status=none`, []string{idA}},
		"group":             {`{ echo @A; echo @B; } > $D/new`, []string{idA, idB}},
		"group of cats":     {`echo @A > $T; { cat $T; echo @B | cat; } > $D/new`, []string{idA, idB}},
		"subshell":          {`( echo @A; echo @B | cat ) > $D/new`, []string{idA, idB}},
		"exec":              {`exec 3> $D/new; echo @A >&3; echo @B >&3; exec 3>&-`, []string{idA, idB}},
		"exec exit":         {`exec 3> $D/new; echo @A >&3; echo @B >&3`, []string{idA, idB}},
		"child inherits":    {`exec 3> $D/new; echo @A >&3; bash -c 'echo @B >&3'; exec 3>&-`, []string{idA, idB}},
		"two dups":          {`exec 3> $D/new; exec 4>&3; echo @A >&3; exec 3>&-; echo @B >&4; exec 4>&-`, []string{idA, idB}},
		"busybox":           {`busybox sh -c "echo @A > $D/new"`, []string{idA}},
		"python":            {`python3 -c "open('$D/new','w').write('@A\n@B\n')"`, []string{idA, idB}},
		"python append":     {`python3 -c "open('$D/new','a').write('@A\n')"`, []string{idA}},
		"python unbuffer":   {`python3 -c "f=open('$D/new','wb',0);f.write(b'@A\n');f.write(b'@B\n');f.close()"`, []string{idA, idB}},
		"fsync":             {`python3 -c "import os;f=os.open('$D/new',os.O_WRONLY);os.write(f,b'@A');os.fsync(f)"`, []string{idA}},
		"truncate anew":     {`python3 -c "import os;f=os.open('$D/new',os.O_WRONLY);os.write(f,b'@A\n');os.ftruncate(f,0);os.lseek(f,0,0);os.write(f,b'@B')"`, []string{idB}},
		"cp -p":             {`echo @A > $T; chmod 751 $T; touch -d 2001-02-03 $T; cp -p $T $D/new`, []string{idA}},
		"cp -a":             {`echo @A > $T; chown 12:34 $T 2>/dev/null; cp -a $T $D/new`, []string{idA}},
		"cp all":            {`echo @A > $T; setfattr -n user.x -v 1 $T 2>/dev/null; cp --preserve=all $T $D/new`, []string{idA}},
		"rsync inplace":     {`echo @A > $T; rsync -a --inplace $T $D/new`, []string{idA}},
		"rsync preallocate": {`echo @A > $T; rsync -a --inplace --preallocate $T $D/new`, []string{idA}},
		"dd fsync":          {`echo @A | dd of=$D/new conv=fsync status=none`, []string{idA}},
		"dd notrunc":        {`echo @A | dd of=$D/new conv=notrunc,fdatasync status=none`, []string{idA}},
		"dd sparse":         {`echo @A | dd of=$D/new conv=sparse status=none`, []string{idA}},
		"ftruncate first":   {`python3 -c "import os;f=os.open('$D/new',1);os.ftruncate(f,37);os.write(f,b'@A\n');os.ftruncate(f,37);os.fsync(f)"`, []string{idA}},
		"copy_file_range":   {`echo @A > $T; python3 -c "import os;a=os.open('$T',0);b=os.open('$D/new',1);os.sendfile(b,a,0,99)"`, []string{idA}},
		"locks": {`python3 -c "
import fcntl
f=open('$D/new','w'); fcntl.lockf(f,fcntl.LOCK_EX); fcntl.flock(f,fcntl.LOCK_EX)
f.write('@A'); f.close()"`, []string{idA}},
		"nodes again":      {`cat $D/d0/nodes > $D/new`, []string{idA, idB}},
		"cp nodes again":   {`cp $D/d0/nodes $D/new`, []string{idA, idB}},
		"background child": {`( sleep 0.2 2>/dev/null & echo @A ) > $D/new; ls $D/d2 > /dev/null && sleep 0.3`, []string{idA}},
	}
	ids := strings.NewReplacer("@A", idA, "@B", idB)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := newTestMount(t)
			m.domain.add("d0", []download.NodeID{idA, idB})
			script := "T=" + t.TempDir() + "/t\n" + ids.Replace(test.script)
			out := m.ok("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'\nls $D")
			require.Equal(t, "d0\nd2\nnew", out, "exactly one download, there at once")
			var got []string
			for _, id := range m.domain.find("d2").nodes {
				got = append(got, string(id))
			}
			assert.Equal(t, test.nodes, got)
		})
	}
}

// Proves S-7.
func TestControlReadBack(t *testing.T) {
	m := newTestMount(t)
	assert.Empty(t, m.ok(`cat $D/new`))
	assert.Equal(t, "d1", m.ok(`exec 3<>$D/new; echo `+idA+` >&3; read id <&3; echo $id`))
	assert.Equal(t, "d1", m.ok(`cat $D/new`))
	assert.Equal(t, "d2", m.ok(`python3 -c "
f=open('$D/new','r+')
f.write('`+idA+`\n')
f.flush()
print(f.read().strip())"`))
}

// A list whose writer is killed before its end asks for nothing.
// Proves S-8.
func TestControlWriterKilled(t *testing.T) {
	for name, script := range map[string]string{
		"kill":          `{ echo ` + idA + `; kill -KILL $BASHPID; } > $D/new`,
		"interrupt":     `{ echo ` + idA + `; kill -INT $BASHPID; sleep 1; } > $D/new`,
		"python":        `python3 -c "import os;f=os.open('$D/new',1);os.write(f,b'` + idA + `\n');os.kill(os.getpid(),9)"`,
		"threads":       `python3 -c "import os,threading,time;f=os.open('$D/new',1);os.write(f,b'` + idA + `\n');threading.Thread(target=time.sleep,args=(9,)).start();os.kill(os.getpid(),15)"`,
		"writer of two": `{ python3 -c "import os;os.write(1,b'` + idA + `\n');os.kill(os.getpid(),9)"; echo ` + idB + `; } > $D/new`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newTestMount(t)
			_, _ = m.sh("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'")
			assert.Equal(t, "new", m.ok(`ls $D`))
			assert.Equal(t, "error: the process that wrote the request list was killed", m.ok(`cat $D/new`))
			m.ok(`echo ` + idB + ` > $D/new`)
			assert.Equal(t, "d1\nnew", m.ok(`ls $D`))
		})
	}
}

// It asks for nothing either when children hold the descriptor as well and all
// are killed together, in whichever order they die.
// Proves S-8.
func TestControlWriterKilledWithChildren(t *testing.T) {
	m := newTestMount(t)
	m.ok(`cd $D && python3 -c "
import os, time
for i in range(50):
    r, w = os.pipe()
    writer = os.fork()
    if writer == 0:
        os.setpgid(0, 0)
        f = os.open('new', os.O_WRONLY)
        os.write(f, b'` + idA + `\n')
        for child in range(4):
            if os.fork() == 0: time.sleep(9)
        os.write(w, b'x')
        time.sleep(9)
    os.close(w)
    os.read(r, 1)
    os.killpg(writer, 9)
    os.waitpid(writer, 0)
    os.close(r)
"`)
	m.ok(`until grep -q killed $D/new; do sleep 0.01; done`)
	assert.Equal(t, "new", m.ok(`ls $D`))
}

// Who only inherited the descriptor may be killed without harm.
// Proves S-8.
func TestControlBystanderKilled(t *testing.T) {
	m := newTestMount(t)
	m.ok(`{ echo ` + idA + `; sleep 9 & kill -KILL $!; wait; echo ` + idB + `; } > $D/new 2>/dev/null`)
	require.Equal(t, "d1\nnew", m.ok(`ls $D`))
	assert.Len(t, m.domain.find("d1").nodes, 2)
}

// Proves S-5, S-124.
func TestControlRefusals(t *testing.T) {
	m := newTestMount(t)
	m.domain.script(func(f *fakeDomain) {
		f.create = func(_ context.Context, l download.List) error {
			return fmt.Errorf("create a download of %d nodes: %w", len(l.Entries), download.ErrForbidden)
		}
	})
	for name, test := range map[string]struct{ script, says, outcome string }{
		"malformed": {`echo not/a/node > $D/new`, "write error: Invalid argument", "error: "},
		"forbidden": {`echo ` + idA + ` | cp /dev/stdin $D/new`, "failed to close", "permission denied"},
		"python":    {`python3 -c "f=open('$D/new','w');f.write('` + idA + `');f.close()"`, "PermissionError", "permission denied"},
		"dd":        {`echo ` + idA + ` | dd of=$D/new status=none`, "closing output file", "permission denied"},
		"fsync":     {`python3 -c "import os;f=os.open('$D/new',1);os.write(f,b'` + idA + `');os.fsync(f)"`, "PermissionError", "permission denied"},
		"read":      {`exec 3<>$D/new; echo ` + idA + ` >&3; cat <&3`, "Permission denied", "permission denied"},
		"too long":  {`yes ` + idA + ` | head -c 5000000 > $D/new`, "File too large", "longer than 4 MiB"},
		"remove":    {`rm -f $D/new`, "Operation not permitted", ""},
		"rename":    {`mv $D/new $D/old`, "Operation not permitted", ""},
		"replace":   {`mkdir $M/../x; mv -T $M/../x $D/new`, "", ""},
		"cut off":   {`python3 -c "import os;f=os.open('$D/new',1);os.write(f,b'` + idA + `\n` + idB + `\n');os.ftruncate(f,37)"`, "Invalid argument", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := m.sh("bash -c '" + strings.ReplaceAll(test.script, "'", `'\''`) + "'")
			require.Error(t, err)
			assert.Contains(t, out, test.says)
			if test.outcome != "" {
				assert.Contains(t, m.ok(`cat $D/new`), test.outcome)
			}
			assert.Equal(t, "new", m.ok(`ls $D`))
		})
	}
}

// These end in nothing and are no errors.
// Proves S-3.
func TestControlNothing(t *testing.T) {
	m := newTestMount(t)
	for _, script := range []string{`: > $D/new`, `echo > $D/new`, `echo '# nothing' > $D/new`, `truncate -s 0 $D/new`, `touch $D/new`,
		`chmod 600 $D/new`, `cp /dev/null $D/new`, `truncate -s 5 $D/new`, `chmod +x $D/new`, `fallocate -l 100 $D/new`, `python3 -c "import os;os.close(os.open('$D/new',os.O_RDWR|os.O_TRUNC))"`} {
		m.ok(script)
	}
	assert.Equal(t, "new", m.ok(`ls $D`))
}

// Threads of one process write lists of their own at the same time, and each
// close waits for its own answer.
func TestControlThreads(t *testing.T) {
	m := newTestMount(t)
	out := m.ok(`python3 -c "
import os, threading
def one(i):
    with open('$D/new','w') as f: f.write('` + idA[:34] + `%02x\n' % i)
    assert len(os.listdir('$D')) > 1
ts=[threading.Thread(target=one,args=(i,)) for i in range(50)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(os.listdir('$D')))"`)
	assert.Equal(t, "51", out)
	for _, d := range m.domain.Downloads() {
		assert.Len(t, d.NodeIDs(), 1)
	}
}

// Two handles of one process are two lists.
func TestControlHandles(t *testing.T) {
	m := newTestMount(t)
	out := m.ok(`exec 3>$D/new 4>$D/new
echo ` + idA + ` >&3; echo ` + idB + ` >&4; echo ` + idB + ` >&3
ls $D | wc -l
exec 3>&-; ls $D | wc -l
exec 4>&-; ls $D | wc -l`)
	assert.Equal(t, "1\n2\n3", out)
	assert.Len(t, m.domain.find("d1").nodes, 2)
	assert.Len(t, m.domain.find("d2").nodes, 1)
}

// The close that waits for the server can be interrupted; the request goes on.
func TestControlInterrupted(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"int": syscall.SIGINT, "kill": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			m := newTestMount(t)
			asked, _ := m.hangs()
			b := m.background(closeList)
			<-asked
			require.NoError(t, b.Process.Signal(signal))
			require.Error(t, m.ended(b, time.Second))
			if signal == syscall.SIGINT {
				assert.Regexp(t, `InterruptedError|KeyboardInterrupt`, b.out.String())
			}
		})
	}
}
