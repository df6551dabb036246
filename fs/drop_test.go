package fs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// A list or a link that is put into downloads/ makes one download, called after
// the file, and nothing is left besides, whatever the tool does to the file.
// Proves S-160, S-162.
func TestDrops(t *testing.T) {
	const url = "https://ecm.example.org/share/page/document-details?nodeRef=workspace://SpacesStore/"
	for name, test := range map[string]struct{ script, want string }{
		"cp":               {`cp $T/ids.txt $D`, "ids"},
		"cp twice":         {`cp $T/ids.txt $D; cp $T/ids.txt $D`, "ids ids-2"},
		"cp -a":            {`cp -a $T/ids.txt $D`, "ids"},
		"cp -p":            {`chmod 754 $T/ids.txt; cp -p $T/ids.txt $D/q3`, "q3"},
		"cp --remove":      {`cp --remove-destination $T/ids.txt $D/new`, "d1"},
		"mv":               {`mv $T/ids.txt $D`, "ids"},
		"mv onto new":      {`mv -f $T/ids.txt $D/new`, "d1"},
		"install":          {`install -m 640 $T/ids.txt $D/q3`, "q3"},
		"install onto new": {`install -m 640 $T/ids.txt $D/new`, "d1"},
		"rsync":            {`rsync -a $T/ids.txt $D`, "ids"},
		"rsync onto new":   {`rsync -aI $T/ids.txt $D/new`, "d1"},
		"rsync --inplace":  {`rsync -a --inplace $T/ids.txt $D/q3.list`, "q3"},
		"gio copy":         {`gio copy $T/ids.txt $D/ids.txt`, "ids"},
		"gio move":         {`gio move $T/ids.txt $D/ids.txt`, "ids"},
		"echo":             {`echo @A > $D/q3`, "q3"},
		"group":            {`{ /bin/echo @A; /bin/echo @B; } > $D/q3`, "q3"},
		"tee":              {`tee $D/q3.txt < $T/ids.txt > /dev/null`, "q3"},
		"dd":               {`dd if=$T/ids.txt of=$D/q3.txt conv=fsync status=none`, "q3"},
		"python":           {`python3 -c "import shutil; shutil.copy2('$T/ids.txt', '$D/q3.txt')"`, "q3"},
		"python temporary": {`python3 -c "
import os
with open('$D/.q3.tmp', 'w') as f:
    f.write('@A'); f.flush(); os.fsync(f.fileno())
os.chmod('$D/.q3.tmp', 0o644); os.utime('$D/.q3.tmp', (1, 2))
assert os.stat('$D/.q3.tmp').st_mtime == 2
os.replace('$D/.q3.tmp', '$D/q3.txt'); os.stat('$D/q3.txt')"`, "q3"},
		"browser":               {`cp $T/ids.txt $D/q3.txt.part; mv $D/q3.txt.part $D/q3.txt`, "q3"},
		"byte by byte":          {`dd if=$T/ids.txt of=$D/q3 bs=1 status=none`, "q3"},
		"half a list, and more": {`python3 -c "import os;f=os.open('$D/q3',os.O_RDWR|os.O_CREAT);os.write(f,b'@A'[:9]);os.write(f,b'@A'[9:]);os.close(f)"`, "q3"},
		"cut, and on":           {`python3 -c "import os;f=os.open('$D/q3',os.O_RDWR|os.O_CREAT);os.write(f,b'@A'[:9]+b'1');os.ftruncate(f,9);os.pwrite(f,b'@A'[9:],9);os.close(f)"`, "q3"},
		"truncated, and anew":   {`python3 -c "import os;f=os.open('$D/q3',os.O_RDWR|os.O_CREAT);os.write(f,b'1');os.ftruncate(f,0);os.pwrite(f,b'@A',0);os.close(f)"`, "q3"},
		"random writes":         {`python3 -c "import os;f=os.open('$D/q3',os.O_RDWR|os.O_CREAT);os.pwrite(f,b'@A'[18:],18);os.pwrite(f,b'@A'[:18],0);os.close(f)"`, "q3"},
		"url":                   {`printf '[InternetShortcut]\r\nURL=` + url + `@A\r\n' > $D/Report.url`, "Report"},
		"desktop":               {`printf '#!/usr/bin/env xdg-open\n[Desktop Entry]\nType=Link\nURL=` + url + `@A\n' > $D/Report.desktop`, "Report"},
		"desktop byte by byte":  {`printf '# x\n[Desktop Entry]\nType=Link\nURL=` + url + `@A\n' | dd of=$D/Report.desktop bs=1 status=none`, "Report"},
		"webloc byte by byte":   {`printf '<?xml version="1.0"?><plist><dict><key>URL</key><string>` + url + `@A&amp;x=1</string></dict></plist>' | dd of=$D/Report.webloc bs=1 status=none`, "Report"},
		"binary byte by byte":   {`printf 'bplist00\321\001\002SURL_\020\140` + url + `@A\010\013\017' | dd of=$D/Report.webloc bs=1 status=none`, "Report"},
		"webloc":                {`printf '<?xml version="1.0"?><plist><dict><key>URL</key><string>` + url + `@A&amp;x=1</string></dict></plist>' > $D/Report.webloc`, "Report"},
		"binary webloc":         {`printf 'bplist00\321\001\002SURL_\020\140` + url + `@A\010\013\017' > $D/Report.webloc`, "Report"},
		// As KDE does it: an empty file, a lock, and a file that is renamed.
		"KIO": {`cd $D; touch Report.desktop; echo $$ > Report.desktop.lock
printf '[Desktop Entry]\nType=Link\nURL[$e]=` + url + `@A\n' > Report.desktop.dSiXuB; test -e Report.desktop.dSiXuB
mv Report.desktop.dSiXuB Report.desktop; rm Report.desktop.lock`, "Report"},
		"address":             {`cp $T/ids.txt "$D/http:--h-share-page?.txt"`, "d1"},
		"ln -s URL":           {`ln -s ` + url + `@A $D/report`, "report"},
		"ln -s path":          {`ln -s /Sites/press $D/press`, "press"},
		"ln -s id":            {`ln -s @A $D/press.x`, "press"},
		"touch":               {`touch $D/x; test -e $D/x`, ""},
		"name that cannot be": {`cp $T/ids.txt $D/@B`, "d1"},
		"temporary and gone":  {`echo @A > $D/.x; cat $D/.x > /dev/null; rm $D/.x; ! test -e $D/.x`, ""},
		"temporary and left":  {`echo @A > $D/.x; echo @A > $D/y.part`, ""},
		"set -C":              {`set -C; echo @A > $D/q3`, "q3"},
		"removed while open":  {`python3 -c "import os;f=open('$D/q3','w');f.write('@A');f.flush();os.unlink('$D/q3');f.close()"`, ""},
		"replaced while open": {`python3 -c "
import os
f = open('$D/q3', 'w'); f.write('@B'); f.flush()
g = open('$D/.q3', 'w'); g.write('@A'); g.close(); os.rename('$D/.q3', '$D/q3')
f.close()"`, "q3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTestMount(t)
			dir := t.TempDir()
			script := "echo @A > $T/ids.txt\n" + test.script
			script = strings.NewReplacer("@A", idA, "@B", idB, "$T", dir).Replace(script)
			m.ok("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'")
			assert.Equal(t, strings.TrimSpace(strings.ReplaceAll(test.want, " ", "\n")+"\nnew"), m.ok(`ls -A $D | sort | sed /^new$/d; echo new`))
			var want []string
			if test.want != "" {
				want = make([]string, len(strings.Fields(test.want)))
			}
			require.Len(t, m.domain.Downloads(), len(want))
			assert.Equal(t, "4 -rw-------", m.ok(`stat -c "%i %A" $D/new`), "the control file is as before")
			m.ok(`echo ` + idB + ` > $D/new; test "$(cat $D/new)" = d` + fmt.Sprint(len(want)+1))
		})
	}
}

// What cannot be a list fails where its writer looks, says why in new, and leaves
// nothing behind; what editors and desktops make for themselves cannot be made.
// Proves S-161, S-162.
func TestDropsRefused(t *testing.T) {
	m := newTestMount(t)
	m.domain.script(func(f *fakeDomain) {
		f.create = func(_ context.Context, l download.List) error {
			if l.Entries[0].Node == idB {
				return fmt.Errorf("create download: %w", download.ErrForbidden)
			}
			return nil
		}
	})
	dir := t.TempDir()
	m.ok("cd " + dir + "; echo nonsense > bad.txt; echo " + idB + " > not-yours.txt; printf '[InternetShortcut]\\nx=y\\n' > none.url; yes " + idA + " | head -c 5000000 > long.txt")
	for script, says := range map[string][2]string{
		`cp $T/bad.txt $D`:                            {"Invalid argument", "bad.txt"},
		`mv $T/bad.txt $D`:                            {"Invalid argument", "line 1"},
		`rsync -I $T/bad.txt $D`:                      {"Invalid argument", "line 1"},
		`gio copy $T/bad.txt $D/bad.txt`:              {"Invalid argument", "line 1"},
		`echo nonsense > $D/x`:                        {"write error: Invalid argument", "line 1"},
		`{ echo ` + idA + `; echo nonsense; } > $D/x`: {"write error: Invalid argument", "line 2"},
		`printf 'PK\003\004\000\000' > $D/x.zip`:      {"write error: Invalid argument", "line 1"},
		// The close says so, too, to who does not look whether the write failed.
		`python3 -c "
import os
f = os.open('$D/x', os.O_WRONLY | os.O_CREAT)
try: os.write(f, b'nonsense\n')
except OSError: pass
os.close(f)"`: {"Invalid argument", "line 1"},
		`cp $T/not-yours.txt $D`:                                {"Permission denied", "permission denied"},
		`rsync $T/not-yours.txt $D`:                             {"Permission denied", "permission denied"},
		`dd if=$T/not-yours.txt of=$D/x conv=fsync status=none`: {"Permission denied", "permission denied"},
		`cp $T/none.url $D`:                                     {"Invalid argument", "no address"},
		`cp $T/long.txt $D`:                                     {"File too large", "longer than 4 MiB"},
		`ln -s not/a/node $D/x`:                                 {"Invalid argument", "line 1"},
		`mkdir "$D/New Folder"`:                                 {"Operation not permitted", "copy a request list or a link"},
		`cp $T/bad.txt $D/4913`:                                 {"Operation not permitted", ""},
		`cp $T/bad.txt $D/.ids.swp`:                             {"Operation not permitted", ""},
		`cp $T/bad.txt $D/ids.txt~`:                             {"Operation not permitted", ""},
		`cp $T/bad.txt $D/.~lock.ids.txt#`:                      {"Operation not permitted", ""},
		`ln -s user@host.1 $D/.#ids`:                            {"Operation not permitted", ""},
		`mkdir $D/.Trash-1000`:                                  {"Operation not permitted", ""},
	} {
		out, err := m.sh(strings.ReplaceAll(script, "$T", dir))
		require.Error(t, err, script)
		assert.Contains(t, out, says[0], script)
		if says[1] != "" {
			assert.Contains(t, m.ok(`cat $D/new`), says[1], script)
		}
		assert.Equal(t, "new", m.ok(`ls -A $D`), script)
		m.ok(`! test -e $D/x`)
	}
	assert.FileExists(t, dir+"/bad.txt", "mv keeps what it could not move")
}

// A file whose writer is killed asks for nothing.
// Proves S-161.
func TestDropWriterKilled(t *testing.T) {
	m := newTestMount(t)
	_, _ = m.sh(`python3 -c "import os;f=os.open('$D/q3',os.O_WRONLY|os.O_CREAT);os.write(f,b'` + idA + `\n');os.kill(os.getpid(),9)"`)
	assert.Equal(t, "new", m.ok(`ls -A $D`))
	assert.Contains(t, m.ok(`cat $D/new`), "killed")
}

// A file from an unseen process is asked for when no process holds it any more.
// Proves S-161.
func TestDropUnseen(t *testing.T) {
	m := newHidingMount(t)
	m.ok(`{ /bin/echo ` + idA + `; /bin/echo ` + idB + `; } > $D/q3.txt`)
	m.eventually(func() bool { return m.ok(`ls $D`) == "new\nq3" }, "it is there")
	_, _ = m.sh(`python3 -c "import os;f=os.open('$D/q4',os.O_WRONLY|os.O_CREAT);os.write(f,b'` + idA + `\n');os.kill(os.getpid(),9)"`)
	m.eventually(func() bool { return strings.Contains(m.ok(`cat $D/new`), "killed") }, "it was given up")
	assert.Equal(t, "new\nq3", m.ok(`ls $D`))
}

// Few files are kept.
// Proves S-162.
func TestDropsBounded(t *testing.T) {
	m := newTestMount(t)
	out, err := m.sh(fmt.Sprintf(`for i in $(seq %d); do echo x > $D/.$i || exit; done`, maxDrops+1))
	require.Error(t, err)
	assert.Contains(t, out, "No space left")
}

// Many lists at once are many downloads, and empty files are in nobody's way.
// Proves S-160.
func TestManyDrops(t *testing.T) {
	m := newTestMount(t)
	m.ok(fmt.Sprintf(`for i in $(seq %d); do : > $D/empty.$i || exit; done`, maxDrops+10))
	m.ok(fmt.Sprintf(`for i in $(seq %d); do echo %s > $D/list$i.txt || exit; done`, maxDrops+10, idA))
	assert.Len(t, m.domain.Downloads(), maxDrops+10)
}

// Watchers are told that a dropped file is gone as soon as the program that dropped it has
// not looked at it for a moment.
// Proves S-199.
func TestDropsGone(t *testing.T) {
	ended := newSubmission()
	close(ended.done)
	now := time.Now()
	for name, test := range map[string]struct {
		drop *dropNode
		in   time.Duration // from now; negative while it is not known
	}{
		"open":             {&dropNode{opened: 1, asked: ended, used: now}, -1},
		"refused":          {&dropNode{opened: 1, refused: true, used: now}, 0},
		"temporary":        {&dropNode{name: ".q3", used: now}, dropLife},
		"empty":            {&dropNode{name: "q3", used: now}, dropAfterlife},
		"asked for":        {&dropNode{asked: ended, used: now}, dropQuiet},
		"looked at":        {&dropNode{asked: ended, used: now.Add(-2 * time.Second), looked: now}, dropQuiet},
		"looked at for 10": {&dropNode{asked: ended, used: now.Add(-10 * time.Second), looked: now}, 0},
	} {
		at, known := test.drop.leavesAt()
		assert.Equal(t, test.in >= 0, known, name)
		if known {
			assert.Equal(t, test.in, at.Sub(now), name)
		}
	}
	at, known := (&dropNode{asked: newSubmission()}).leavesAt()
	assert.True(t, known)
	assert.Positive(t, time.Until(at), "the server has not answered")
}

// A file that asks for nothing is not in the way for long: who makes a directory of its
// name is told why that cannot be, and not that something exists which no listing has.
// Proves S-162.
func TestDropsOver(t *testing.T) {
	ended := newSubmission()
	close(ended.done)
	ago := time.Now().Add(-2 * dropAfterlife)
	for name, test := range map[string]struct {
		drop *dropNode
		over bool
	}{
		"empty":     {&dropNode{name: "q3", used: ago}, true},
		"open":      {&dropNode{name: "q3", used: ago, opened: 1}, false},
		"fresh":     {&dropNode{name: "q3", used: time.Now()}, false},
		"asked for": {&dropNode{name: ".q3", used: ago, asked: ended}, true},
		"temporary": {&dropNode{name: ".q3", used: ago}, false},
		"died":      {&dropNode{name: ".q3", used: ago.Add(-dropLife)}, true},
	} {
		assert.Equal(t, test.over, test.drop.over(), name)
	}

	m := newTestMount(t)
	m.ok(`touch $D/q3`)
	d := m.server.root.downloads.drops.at("q3")
	require.NotNil(t, d)
	m.eventually(func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.used = ago
		return d.opened == 0
	}, "it is closed")
	out, err := m.sh(`mkdir $D/q3`)
	require.Error(t, err)
	assert.Contains(t, out, "Operation not permitted")
	assert.Contains(t, m.ok(`cat $D/new`), `"q3": no directories can be made here`)
}

func TestStem(t *testing.T) {
	for name, want := range map[string]string{
		"ids.txt": "ids", "q3": "q3", "a.b.url": "a.b", "Report 1.5 draft": "Report 1.5 draft", "q3.2026": "q3.2026", "x.webloc": "x", ".txt": ".txt", "l.mp3": "l",
	} {
		assert.Equal(t, want, stem(name), name)
	}
}

// Proves S-160.
func TestLinkIn(t *testing.T) {
	for text, want := range map[string]string{
		"[InternetShortcut]\nURL=http://h/x\n":                       "http://h/x",
		"\ufeff[internetshortcut]\r\nurl = http://h/x\r\n":           "http://h/x",
		"# c\n\n[Desktop Entry]\nName=a\nURL=http://h/x":             "http://h/x",
		"[Desktop Entry]\nIcon=text-html\nURL[$e]=http://h/$$x\n":    "http://h/$x",
		"[Desktop Entry]\nType=Application":                          "",
		"<plist><dict><key>a</key><string>b</string></dict></plist>": "",
		"<?xml broken": "",
		"bplist00none": "",
	} {
		got, ok := linkIn([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", idA, "{\"nodeIds\":[]}", "[x]"} {
		_, ok := linkIn([]byte(text))
		assert.False(t, ok, text)
	}
}

// A file whose rename failed because the server was away is still there for everybody,
// and the next rename asks the server again.
// Proves S-161.
func TestDropRenamedAgain(t *testing.T) {
	m := newTestMount(t)
	away := true
	m.domain.script(func(f *fakeDomain) {
		f.create = func(context.Context, download.List) error {
			if away {
				return fmt.Errorf("create download: %w", download.ErrUnavailable)
			}
			return nil
		}
	})
	m.ok(`echo ` + idA + ` > $D/q3.tmp`)
	for range 2 {
		out, err := m.sh(`mv $D/q3.tmp $D/q3`)
		require.Error(t, err)
		require.Contains(t, out, "No route to host")
		require.Equal(t, idA, m.ok(`cat $D/q3.tmp`))
	}
	m.domain.script(func(*fakeDomain) { away = false })
	m.ok(`mv $D/q3.tmp $D/q3`)
	require.Equal(t, "new\nq3", m.ok(`ls $D`))
}

// Who still has a file open that another process writes anew asks for nothing when it
// closes the file.
// Proves S-162.
func TestDropWrittenAnew(t *testing.T) {
	m := newTestMount(t)
	m.ok(`python3 -c "
import os
f = os.open('$D/q3.txt', os.O_WRONLY | os.O_CREAT)
os.write(f, b'` + idA + `\n')
now, go = os.pipe()
over, tell = os.pipe()
if os.fork() == 0:
  os.read(now, 1)
  os.close(f)
  os.write(tell, b'.')
  os._exit(0)
os.close(f) # asks for the download
if os.fork() == 0:
  g = os.open('$D/q3.txt', os.O_WRONLY | os.O_TRUNC)
  os.write(g, b'` + idB + `\n')
  os.write(go, b'.')
  os.read(over, 1)
  os.write(g, b'` + idA + `\n')
  os.close(g)
  os._exit(0)
os.wait()
os.wait()
"`)
	m.eventually(func() bool { return m.server.fs.uses.Load() == 0 }, "all is released")
	require.Len(t, m.domain.Downloads(), 2)
}
