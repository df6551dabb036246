package integration

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// No id that a server can think of gets a name into the mount that is none of a
// download, or out of it.
// Proves S-87.
func TestHostileIDs(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	known := r.done(t)
	before := treeOf(t, filepath.Dir(r.mount.Path))
	for _, id := range []string{
		"../../etc", "../../../../../../tmp/escaped", "..", ".", "", "/", "/etc/passwd", "a/b", `a\b`, "new", "a\x00b", "a\nb",
		"\x1b[2J\x1b]0;owned\x07", "-rf", " ", "a b", ".Trash", ".hidden", "~", "*", "%2e%2e%2f", "ünïcödé", "\u202etxt.exe",
		strings.Repeat("a", 129), strings.Repeat("b", 1<<20), known,
	} {
		in := r.http.Inject(faults.Rule{On: faults.Create, Fault: faults.ID(id)})
		got := r.write(t, "/"+photos).Wait()
		in.Remove()
		says := r.outcome(t)
		seesStrange.check(t, got, says)
		assert.Less(t, len(says), 1000)
		assert.NotContains(t, says, "\x1b")
		assert.Equal(t, 1, strings.Count(says+"\n", "\n"))
		assert.Equal(t, []string{known}, r.mount.List(t), "%.40q", id)
	}
	// The poll of a download cannot change its name either.
	for _, id := range []string{"../../etc", "new", strings.ToUpper(known)} {
		in := r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.ID(id)})
		other := r.create(t)
		<-in.First()
		assert.ElementsMatch(t, []string{known, other}, r.mount.List(t))
		in.Remove()
		r.mount.Sh(t, "rm -r "+other).OK(t)
	}
	// A name that differs in case only is another name.
	r.http.Inject(faults.Rule{On: faults.Create, Times: 1, Fault: faults.ID(strings.ToUpper(known))})
	r.write(t, "/"+photos).Wait().OK(t)
	assert.ElementsMatch(t, []string{known, strings.ToUpper(known)}, r.mount.List(t))
	r.rightBytes(t, known, r.read(t, known).Wait())

	assert.Equal(t, before, treeOf(t, filepath.Dir(r.mount.Path)), "files were made outside the mount")
	assert.NoFileExists(t, "/tmp/escaped")
}

// treeOf lists the directories beside a mount, without entering it.
func treeOf(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	for _, sub := range []string{"", "state", "cache"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, sub+"/"+e.Name())
		}
	}
	return names
}

// Whatever a server says of an archive, it can be listed, and reading it ends
// with the right bytes or an error.
// Proves S-87.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	size := func(n any) faults.Fault {
		return faults.Entry(fmt.Sprintf("size %v", n), func(e map[string]any) { e["content"] = map[string]any{"sizeInBytes": n} })
	}
	name := func(s string) faults.Fault {
		return faults.Entry(fmt.Sprintf("name %.40q", s), func(e map[string]any) { e["name"] = s })
	}
	modified := func(date string) faults.Fault {
		return faults.Entry("modified "+date, func(e map[string]any) { e["modifiedAt"] = date })
	}
	tests := make(map[string]func(*testing.T))
	for _, c := range []struct {
		fault faults.Fault
		want  *seen
	}{
		{size(1), seesChanged},
		{size(1 << 40), seesChanged},
		{size(1 << 50), seesChanged},
		{size(int64(math.MaxInt64)), seesChanged},
		{size(-1), seesStrange},
		{size("1000"), seesStrange},
		{size(1e300), seesStrange},
		{name("../../../etc/passwd"), seesFine},
		{name("\x1b[31mred\x00\n\r\t"), seesFine},
		{name(strings.Repeat("n", 500_000)), seesFine},
		{name("\u202egpj.exe"), seesFine},
		{modified("1601-01-01"), seesFine},
		{modified("9999-12-31T23:59:59.999+0000"), seesFine},
		{faults.ID("11111111-1111-4111-8111-111111111111"), seesStrange},
	} {
		tests[c.fault.String()] = func(t *testing.T) {
			r := newFaultRig(t, server).mounted(t)
			in := r.http.Inject(faults.Rule{On: faults.Node, If: ofDownload, Fault: c.fault})
			id := r.create(t)
			got := r.read(t, id).Wait()
			require.NotZero(t, in.Hits())
			seen{errno: c.want.errno}.check(t, got, "")
			if c.want == seesFine {
				r.rightBytes(t, id, got)
			}
			began := time.Now()
			r.mount.Sh(t, "ls -la . "+id+" && cat "+id+"/status "+id+"/status.json "+id+"/nodes && du -s .").OK(t)
			assert.Less(t, time.Since(began), harness.Scaled(2*time.Second))
			status := r.mount.Sh(t, "cat "+id+"/status "+id+"/status.json").Stdout
			assert.Less(t, len(status), 4000)
			assert.NotContains(t, status, "\x1b")
			assert.NotContains(t, status, "\u202e")
			r.mount.Sh(t, "rm -r "+id).OK(t)
		}
	}
	sideBySide(t, 8, tests)
}

// ofDownload excludes the check of a mount that starts.
func ofDownload(q *http.Request) bool { return !strings.Contains(q.URL.Path, "-root-") }

// While a download is pending its counters can be anything.
// Proves S-87.
func TestHostileCounters(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	r.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Entry("huge", func(e map[string]any) {
		e["status"], e["bytesAdded"], e["totalBytes"], e["filesAdded"], e["totalFiles"] = "IN_PROGRESS", int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), 0
	})})
	id := r.create(t)
	r.mount.AwaitStatus(t, harness.Timeout, id, "bytesAdded", fmt.Sprint(int64(math.MaxInt64)))
	r.mount.Sh(t, "ls -la "+id+" && du -s "+id+" && find . -ls").OK(t)
	r.mount.Sh(t, "rm -r "+id).OK(t)
}

// What a server says in its errors is shown on one line, without what would
// move a terminal's cursor and without the secrets it was told.
// Proves S-87.
func TestHostileWords(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	basic := base64.StdEncoding.EncodeToString([]byte(harness.AdminName + ":" + harness.AdminPassword))
	for _, words := range []string{
		`\u001b[2J\u001b]0;owned\u0007`, `a\nb\r\nc`, `\u202eright to left`, strings.Repeat("w", 1<<20),
		"your password " + harness.AdminPassword + " is wrong", "Authorization: Basic " + basic, "?alf_ticket=TICKET_0123456789abcdef0123",
	} {
		in := r.http.Inject(faults.Rule{On: faults.Create, Fault: faults.JSON(400, `{"error":{"statusCode":400,"briefSummary":"`+words+`"}}`)})
		seen{errno: syscall.EINVAL}.check(t, r.write(t, "/"+photos).Wait(), "")
		in.Remove()
		says := r.outcome(t)
		assert.Less(t, len(says), 1000)
		assert.Equal(t, 1, strings.Count(says+"\n", "\n"))
		for _, never := range []string{"\x1b", "\r", "\u202e", harness.AdminPassword, basic, "TICKET_0123456789"} {
			assert.NotContains(t, says, never)
			assert.NotContains(t, r.mount.Log.Text(), never)
		}
	}
}

// A login answered with something that is no ticket does not get that sent back.
// Proves S-87.
func TestHostileTickets(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	for _, ticket := range []string{"", "no ticket", `TICKET_a\r\nX-Evil: yes`, `TICKET_\u0000`, "TICKET_" + strings.Repeat("t", 100_000)} {
		r := newFaultRig(t, server)
		r.http.Inject(faults.Rule{On: faults.Tickets, Fault: faults.JSON(201, `{"entry":{"id":"`+ticket+`","userId":"admin"}}`)})
		m, failure := harness.TryMount(t, server, r.options())
		require.Nil(t, m, "it mounted with the ticket %.40q", ticket)
		assert.Equal(t, 1, failure.Code, "%+v", failure)
		assert.Contains(t, failure.Line, "not one of Alfresco's")
		assert.Zero(t, r.http.Count(faults.Node))
	}
}

// Nodes that a path resolves to have to be nodes.
// Proves S-87.
func TestHostileResolve(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	for _, id := range []string{"", "../../downloads", "a/b?c", strings.Repeat("x", 1<<16), "x\n"} {
		in := r.http.Inject(faults.Rule{On: faults.Resolve, Fault: faults.ID(id)})
		seesStrange.check(t, r.write(t, "/"+photos).Wait(), "unexpected answer")
		in.Remove()
		assert.Zero(t, r.http.Count(faults.Create))
		assert.Empty(t, r.mount.List(t))
	}
}

// An answer that comes unasked, before the next question or right after it, is
// never taken for the archive.
// Proves S-87.
func TestHostileAnswersUnasked(t *testing.T) {
	t.Parallel()
	r := newFaultRig(t, harness.StartServer(t, harness.Samples(t))).mounted(t)
	r.http.Inject(faults.Rule{On: faults.Content, Fault: faults.Smuggle()})
	for range 10 {
		id := r.done(t)
		if got := r.read(t, id).Wait(); got.Code == 0 {
			r.rightBytes(t, id, got)
		}
	}
	r.http.Clear()
	id := r.done(t)
	r.rightBytes(t, id, r.read(t, id).Wait())
}
