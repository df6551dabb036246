package repository

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testdata/zips/MakeZips.java made the zips with a real server's library, version
// 1.22, and these times.
var (
	realTime  = time.UnixMilli(1_782_909_296_123)
	realTimes = map[string]time.Time{
		"before dos.txt": time.UnixMilli(-86_400_000 * 365 * 20),
		"after 2038.txt": time.UnixMilli(4_102_444_800_000),
		"after 2107.txt": time.UnixMilli(7_258_118_400_000),
	}
)

// A zip of an older server is, but for what its deflater makes of the content,
// byte for byte the one that the real library writes.
// Proves S-100.
func TestZipIsTheRealWriters(t *testing.T) {
	paths, err := filepath.Glob("testdata/zips/*.zip")
	require.NoError(t, err)
	require.Len(t, paths, 6)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, headers(t, want), headers(t, copyZip(t, want)))
		})
	}
}

// copyZip writes the entries of a zip anew.
func copyZip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	var out bytes.Buffer
	z := newZipStream(&out, zipFormat{ZipOlder, time.UTC, zip32Max})
	for _, f := range r.File {
		at, ok := realTimes[f.Name]
		if !ok {
			at = realTime
		}
		require.NoError(t, z.create(f.Name, at))
		c, err := f.Open()
		require.NoError(t, err)
		_, err = io.Copy(z, c)
		require.NoError(t, err)
		require.NoError(t, z.closeEntry())
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

// rawEntry is all that a zip says of an entry, but for where it is and how large it is
// when it is deflated.
type rawEntry struct{ Local, Central, Descriptor string }

// headers returns what a zip consists of besides its content.
func headers(t *testing.T, b []byte) []rawEntry {
	t.Helper()
	le := binary.LittleEndian
	end := b[bytes.LastIndex(b, []byte("PK\x05\x06")):]
	require.Len(t, end, 22)
	all := make([]rawEntry, le.Uint16(end[10:]))
	at := le.Uint32(end[16:])
	require.Equal(t, at+le.Uint32(end[12:]), uint32(len(b)-len(end)))
	for i := range all {
		c := bytes.Clone(b[at:])
		c = c[:46+int(le.Uint16(c[28:]))+int(le.Uint16(c[30:]))+int(le.Uint16(c[32:]))]
		at += uint32(len(c))
		l := b[le.Uint32(c[42:]):]
		n := 30 + int(le.Uint16(l[26:])) + int(le.Uint16(l[28:]))
		deflated := le.Uint32(c[20:])
		d := bytes.Clone(l[n+int(deflated):][:16])
		require.Equal(t, deflated, le.Uint32(d[8:]))
		clear(d[8:12])
		clear(c[20:24])
		clear(c[42:46])
		all[i] = rawEntry{hex.Dump(l[:n]), hex.Dump(c), hex.Dump(d)}
	}
	return all
}

// A newer server's entries have their times in two more forms: there is no access
// time, and no Unix time that does not fit into 32 bits.
// Proves S-100.
func TestZipTimesOfANewerServer(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 34, 56, 123_456_789, time.UTC)
	seconds := hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(at.Unix())))
	ticks := hex.EncodeToString(binary.LittleEndian.AppendUint64(nil,
		uint64(at.Sub(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()+11_644_473_600_000)*10_000))
	const noTicks = "0000000000000000"
	const name = "75700600" + "01" + "43beb7e8" + "61" // Unicode path of "a"
	b := oneEntryZip(t, zipFormat{ZipNewer, time.UTC, zip32Max}, at)
	local, central := extras(t, b)
	require.Equal(t, "5554"+"0900"+"05"+seconds+seconds+"0a00"+"2000"+"00000000"+"01001800"+ticks+noTicks+ticks+name, local)
	require.Equal(t, "5554"+"0500"+"05"+seconds+"0a00"+"2000"+"00000000"+"01001800"+ticks+noTicks+ticks+name, central)

	local, central = extras(t, oneEntryZip(t, zipFormat{ZipNewer, time.UTC, zip32Max}, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, "0a00", local[:4])
	require.Equal(t, local, central)

	local, central = extras(t, oneEntryZip(t, zipFormat{ZipOlder, time.UTC, zip32Max}, at))
	require.Equal(t, []string{name, name}, []string{local, central})
}

// The DOS time is what the server's clock shows.
// Proves S-100.
func TestZipTimesAreInTheServersZone(t *testing.T) {
	at := time.Date(2026, 7, 1, 22, 34, 56, 0, time.UTC)
	zone := time.FixedZone("server", 3*3600)
	for _, era := range []ZipEra{ZipNewer, ZipOlder} {
		b := oneEntryZip(t, zipFormat{era, zone, zip32Max}, at)
		require.Equal(t, uint16(1<<11|34<<5|28), binary.LittleEndian.Uint16(b[10:]))
		require.Equal(t, uint16(46<<9|7<<5|2), binary.LittleEndian.Uint16(b[12:]))
	}
}

func oneEntryZip(t *testing.T, format zipFormat, at time.Time) []byte {
	t.Helper()
	var b bytes.Buffer
	z := newZipStream(&b, format)
	require.NoError(t, z.create("a", at))
	require.NoError(t, z.closeEntry())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// extras returns the extra fields of the only entry, named "a".
func extras(t *testing.T, b []byte) (local, central string) {
	t.Helper()
	le := binary.LittleEndian
	c := b[bytes.Index(b, []byte("PK\x01\x02")):]
	return hex.EncodeToString(b[31:][:le.Uint16(b[28:])]), hex.EncodeToString(c[47:][:le.Uint16(c[30:])])
}

// A server says which era it is of, and dies of an entry as early as it is told to.
func TestZipEraAndLimitOfAServer(t *testing.T) {
	s := newDirect(t, Config{ZipEra: ZipOlder, MaxZipEntry: 100}, files{"small": string(make([]byte, 99)), "large": string(make([]byte, 100))})
	_, b := s.archive("small")
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.Len(t, z.File[0].Extra, 4+5+len("small"))
	p := s.create(nodeID("large"))
	s.downloads.wg.Wait()
	require.Contains(t, []string{statusPending, statusInProgress}, s.downloads.view(s.downloads.byID[p.ID]).Status)

	_, err = New(Config{Dir: t.TempDir(), ZipEra: "1.22"})
	require.ErrorContains(t, err, "zip era")
}
