package fs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// makers are ways in which zips come about: shell scripts that make $Z of what is
// in the current directory. What a way cannot pack so that it can be read here is
// said behind it: tools that know how read it, contents refuses it.
var makers = []struct{ name, need, script, refused string }{
	{"zip", "zip", `zip -qr $Z .`, ""},
	{"zip, stored", "zip", `zip -qr0 $Z .`, ""},
	{"zip, best", "zip", `zip -qr9 $Z .`, ""},
	{"zip, streamed", "zip", `zip -qr - . | cat > $Z`, ""},
	{"zip, descriptors", "zip", `zip -qr -fd $Z .`, ""},
	{"zip, Zip64", "zip", `zip -qr -fz $Z .`, ""},
	{"zip, no times but DOS", "zip", `zip -qrX $Z .`, ""},
	{"zip, comment", "zip", `zip -qr $Z . && echo "A comment PK with bytes" | zip -qz $Z`, ""},
	{"zip, something before", "zip", `zip -qr /tmp/$$.zip . && (echo '#!/bin/sh'; cat /tmp/$$.zip) > $Z; rm /tmp/$$.zip`, ""},
	{"zip, something before and told", "zip", `zip -qr /tmp/$$.zip . && (echo '#!/bin/sh'; cat /tmp/$$.zip) > $Z; rm /tmp/$$.zip; zip -qA $Z`, ""},
	{"zip, updated", "zip", `zip -qr $Z . && zip -qd $Z sub/b.txt && zip -qr $Z .`, ""},
	{"zip, bzip2", "zip", `zip -qr -Z bzip2 $Z .`, "sub/big.txt"},
	{"zip, encrypted", "zip", `zip -qr -P secret $Z .`, "a.txt"},
	{"7z", "7z", `7z a -tzip -bso0 -bsp0 $Z .`, ""},
	{"7z, best", "7z", `7z a -tzip -mx=9 -bso0 -bsp0 $Z .`, ""},
	{"7z, stored", "7z", `7z a -tzip -mm=Copy -bso0 -bsp0 $Z .`, ""},
	{"7z, deflate64", "7z", `7z a -tzip -mm=Deflate64 -bso0 -bsp0 $Z .`, "sub/big.txt"},
	{"7z, LZMA", "7z", `7z a -tzip -mm=LZMA -bso0 -bsp0 $Z .`, "sub/big.txt"},
	{"7z, PPMd", "7z", `7z a -tzip -mm=PPMd -bso0 -bsp0 $Z .`, "sub/big.txt"},
	{"7z, AES", "7z", `7z a -tzip -mem=AES256 -psecret -bso0 -bsp0 $Z .`, "a.txt"},
	{"bsdtar", "bsdtar", `bsdtar -cf $Z --format zip *`, ""},
	{"jar", "jar", `jar cf $Z .`, ""},
	{"python", "python3", `python3 -c "
import zipfile,os,sys
z=zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED)
for d,_,fs in os.walk('.'):
    for f in fs: z.write(os.path.join(d,f))
z.close()" $Z`, ""},
	{"python, streamed", "python3", `python3 -c "
import zipfile,os,sys
class Pipe:
    def __init__(self,f): self.f=f
    def write(self,b): return self.f.write(b)
    def flush(self): self.f.flush()
with open(sys.argv[1],'wb') as f:
    z=zipfile.ZipFile(Pipe(f),'w',zipfile.ZIP_DEFLATED)
    for d,_,fs in os.walk('.'):
        for n in fs: z.write(os.path.join(d,n))
    z.close()" $Z`, ""},
	{"python, LZMA", "python3", `python3 -m zipfile -c $Z a.txt && python3 -c "
import zipfile,sys
zipfile.ZipFile(sys.argv[1],'a',zipfile.ZIP_LZMA).write('sub/big.txt')" $Z`, "sub/big.txt"},
}

// compareTree compares what a tool has unpacked with contents: names, sizes, bytes,
// and times to the second.
const compareTree = `
import os,sys,hashlib
def tree(root):
    out={}
    for d,ds,fs in os.walk(root):
        for n in fs:
            p=os.path.join(d,n)
            if os.path.islink(p): continue
            s=os.stat(p)
            try: sum=hashlib.sha256(open(p,'rb').read()).hexdigest()
            except OSError as e: sum=str(e.errno)
            out[os.path.relpath(p,root)]=(s.st_size,int(s.st_mtime) if times else 0,sum)
        for n in ds: out[os.path.relpath(os.path.join(d,n),root)+'/']=()
    return out
times=sys.argv[3]=='times'
a,b=tree(sys.argv[1]),tree(sys.argv[2])
for k in sorted(set(a)|set(b)):
    if a.get(k)!=b.get(k): print(repr(k),'unpacked:',a.get(k),'contents:',b.get(k))
print(len(b))
`

// What other programs make of a zip that other programs have made, contents show.
// Proves S-137.
func TestContentsAgainstOtherTools(t *testing.T) {
	m := newTestMount(t)
	src := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": "hello\n", "empty": "", "sub/b.txt": "b", "sub/big.txt": lines(700_000), "sub/deep/er/c.txt": lines(100),
		"Übersicht 日本.txt": "u", "with blank .txt": "w", "sub/noise.bin": string(randomBytes(300_000)),
	} {
		path := filepath.Join(src, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	require.NoError(t, exec.Command("sh", "-c", "find "+src+" -exec touch -d '2026-07-01 12:34:56' {} +").Run())
	compare := filepath.Join(t.TempDir(), "compare.py")
	require.NoError(t, os.WriteFile(compare, []byte(compareTree), 0o600))

	var javaZips []string
	for i, mk := range makers {
		t.Run(mk.name, func(t *testing.T) {
			_, err := exec.LookPath(mk.need)
			require.NoError(t, err, "run: scripts/setup test")
			z := filepath.Join(t.TempDir(), "x.zip")
			cmd := exec.Command("bash", "-c", "set -eo pipefail; Z="+z+"; "+mk.script)
			cmd.Dir = src
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			b, err := os.ReadFile(z)
			require.NoError(t, err)
			id := fmt.Sprint("m", i)
			d := m.domain.add(download.ID(id), nil)
			d.finish(m.file(b), i%2 == 0)
			if mk.refused != "" {
				assert.Equal(t, []string{"ok", "ENOTSUP"}, m.errnos(`os.stat(D+'/`+id+`/contents/`+mk.refused+`')`, `open(D+'/`+id+`/contents/`+mk.refused+`')`))
				return
			}
			javaZips = append(javaZips, id)
			unpackers := map[string]string{
				"unzip":  `unzip -qq -o $D/` + id + `/archive.zip -d $O 2>/dev/null || [ $? = 1 ]`,
				"7z":     `7z x -bso0 -bsp0 -o$O $D/` + id + `/archive.zip`,
				"python": `python3 -c "import zipfile,sys; zipfile.ZipFile(sys.argv[1],metadata_encoding='utf-8').extractall(sys.argv[2])" $D/` + id + `/archive.zip $O`,
			}
			for tool, script := range unpackers {
				if tool == "unzip" && mk.name == "jar" {
					continue // it does not believe a flag for UTF-8 of a zip from DOS
				}
				if tool == "7z" && (strings.Contains(mk.name, "before") || i%2 == 0) || tool == "python" && i%2 == 1 {
					continue // 7z takes what comes before the zip for the archive; one of the two is enough
				}
				times := "times"
				if tool == "python" {
					times = "" // it does not set any
				}
				got := m.ok(`export LC_ALL=C.UTF-8; O=$(mktemp -d); ` + script + `; python3 ` + compare + ` $O $D/` + id + `/contents/ ` + "'" + times + `'; rm -r $O`)
				lines := strings.Split(got, "\n")
				assert.Len(t, lines, 1, "%s: %s", tool, got)
				assert.NotEqual(t, "0", lines[len(lines)-1])
			}
		})
	}
	t.Run("java", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "Compare.java")
		require.NoError(t, os.WriteFile(program, []byte(compareJava), 0o600))
		assert.Equal(t, fmt.Sprintf("%d archives", len(javaZips)), m.ok(`export LC_ALL=C.UTF-8; java `+program+` $D `+strings.Join(javaZips, " ")))
	})
	assert.NotContains(t, m.log.String(), "level=ERROR")
}

// compareJava compares what Java's own library reads of archives with contents.
const compareJava = `
import java.nio.charset.Charset;
import java.nio.file.*;
import java.util.*;
import java.util.zip.*;
class Compare {
    public static void main(String[] a) throws Exception {
        for (int i = 1; i < a.length; i++) {
            Path dir = Path.of(a[0], a[i]);
            try (ZipFile z = new ZipFile(dir.resolve("archive.zip").toFile(), Charset.forName("UTF-8"))) {
                for (ZipEntry e : Collections.list(z.entries())) {
                    Path p = dir.resolve("contents").resolve(e.getName());
                    if (e.isDirectory()) {
                        if (!Files.isDirectory(p)) throw new Exception(p + " is no directory");
                        continue;
                    }
                    if (!Arrays.equals(z.getInputStream(e).readAllBytes(), Files.readAllBytes(p))) throw new Exception(p + " differs");
                    if (Files.size(p) != e.getSize()) throw new Exception(p + " has another size");
                    long d = Files.getLastModifiedTime(p).toMillis() - e.getLastModifiedTime().toMillis();
                    if (Math.abs(d) >= 1000) throw new Exception(p + " has another time, by " + d);
                }
            }
        }
        System.out.println((a.length - 1) + " archives");
    }
}
`

// randomBytes returns n bytes that do not pack.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// Seventy thousand entries, read by Python and through contents.
// Proves S-148.
func TestContentsOfManyEntries(t *testing.T) {
	m := newTestMount(t)
	z := filepath.Join(t.TempDir(), "many.zip")
	out, err := exec.Command("python3", "-c", `
import zipfile,sys
z=zipfile.ZipFile(sys.argv[1],'w')
for i in range(70000): z.writestr('d%03d/f%05d.txt'%(i//100,i),str(i))
z.close()`, z).CombinedOutput()
	require.NoError(t, err, "%s", out)
	b, err := os.ReadFile(z)
	require.NoError(t, err)
	m.domain.add("d1", nil).finish(m.file(b), true)
	assert.Equal(t, "70000", m.ok(`find -L $D/d1/contents/ -type f | wc -l`))
	assert.Equal(t, "69999", m.ok(`cat $D/d1/contents/d699/f69999.txt`))
	assert.Contains(t, m.ok(`cat $D/d1/status`), "entries: 70000")
}
