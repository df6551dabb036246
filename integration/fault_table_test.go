package integration

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// What a user can see: an errno and a part of the sentence in new or in status;
// when mounting, an exit code and a part of the line.
var (
	seesFine        = &seen{}
	seesUnreachable = &seen{errno: syscall.EHOSTUNREACH, code: 4, line: "cannot reach"}
	seesFailed      = &seen{errno: remoteIO, says: "the server failed"}
	seesRefused     = &seen{errno: syscall.EACCES, says: "login", code: 3, line: "refuses the login"}
	seesForbidden   = &seen{errno: syscall.EACCES, code: 3, line: "refuses the login"}
	seesUncertain   = &seen{errno: syscall.EIO, says: "answer lost"}
	seesStrange     = &seen{errno: syscall.EPROTO, code: 1, line: "does not answer like an Alfresco server"}
	// An answer without end is given up when it is too long, or when the time is
	// up: which comes first depends on how fast it comes.
	seesEndless  = &seen{errno: syscall.EPROTO, code: 1, line: "does not answer like an Alfresco server", or: syscall.EHOSTUNREACH}
	seesChanged  = &seen{errno: syscall.EIO}
	seesUnknown  = &seen{errno: syscall.ENOENT, says: "not found"}
	seesExpired  = &seen{errno: syscall.ESTALE}
	seesArchived = &seen{errno: syscall.ENODATA, says: "cold storage"}
	seesConflict = &seen{errno: syscall.EBUSY, says: "being restored"}
	seesTooLong  = &seen{errno: syscall.EFBIG, says: "as several lists"}
	// What was just made need not be known everywhere for a minute.
	seesUnseen = &seen{errno: syscall.ESTALE, after: time.Minute}
)

// faultRow is a fault and what the user sees who meets it.
type faultRow struct {
	fault string
	put   faultPut
	lasts time.Duration // it is lifted then, while the user still waits; 0: it stays
	faultCells
}

// faultCells is what is seen at each moment: when a list is closed, while the download
// is polled, when the first byte of the archive is asked for, in its middle, and
// when a mount starts. content stands for first and mid, and always for all that
// are not given. What is not given at all makes no sense.
//
// removes says that rmdir is tried too, of a running and of a finished download.
// It succeeds at once under every fault, and the server hears of it when it can.
type faultCells struct {
	always, create, poll, content, first, mid, mount *seen

	removes bool
	// bomb says that it keeps processors busy, which other rows would suffer from.
	bomb bool
}

// faultPut starts a fault for requests of a kind and returns how to lift it. A fault
// of the network knows no kinds.
type faultPut struct {
	start   func(r *faultRig, on faults.Kind) (lift func())
	network bool
}

// faultTimes injects a server's fault for the first n requests; 0 means for all.
func faultTimes(n int, f faults.Fault) faultPut {
	return faultPut{start: func(r *faultRig, on faults.Kind) func() {
		return r.http.Inject(faults.Rule{On: on, Times: n, Fault: f}).Remove
	}}
}

func faultOnce(f faults.Fault) faultPut   { return faultTimes(1, f) }
func faultAlways(f faults.Fault) faultPut { return faultTimes(0, f) }

// faultElsewhere redirects to another host.
func faultElsewhere(code int) faultPut {
	return faultPut{start: func(r *faultRig, on faults.Kind) func() {
		return r.http.Inject(faults.Rule{On: on, Fault: faults.RedirectTo(code, r.strange.URL())}).Remove
	}}
}

// faultNoSkip answers ranges that do not start at 0 with an empty 206, as some
// content stores make a real server do.
var faultNoSkip = faultPut{start: func(r *faultRig, on faults.Kind) func() {
	return r.http.Inject(faults.Rule{On: on, Fault: faults.EmptyPartial(), If: func(q *http.Request) bool {
		rng := q.Header.Get("Range")
		return rng != "" && !strings.HasPrefix(rng, "bytes=0-")
	}}).Remove
}}

func faultNet(x faults.Toxic) faultPut {
	return faultPut{start: func(r *faultRig, _ faults.Kind) func() { return r.net.Add(x) }, network: true}
}

var faultOutage = faultPut{start: func(r *faultRig, _ faults.Kind) func() {
	r.net.Cut()
	return r.net.Restore
}, network: true}

var faultTable = []faultRow{
	// Refusals. A POST is only sent again when it certainly had no effect.
	{"500 once", faultOnce(faults.Status(500)), 0, faultCells{create: seesFailed, always: seesFine}},
	{"500 always", faultAlways(faults.Status(500)), 0, faultCells{create: seesFailed, always: seesUnreachable, removes: true}},
	{"502 of a proxy, once", faultOnce(faults.HTML(502)), 0, faultCells{create: seesUncertain, always: seesFine, removes: true}},
	{"502 of a proxy, always", faultAlways(faults.HTML(502)), 0, faultCells{create: seesUncertain, always: seesUnreachable}},
	{"503 twice", faultTimes(2, faults.Status(503)), 0, faultCells{always: seesFine}},
	{"503 always", faultAlways(faults.Status(503)), 0, faultCells{always: seesUnreachable, removes: true}},
	{"503 of a proxy, retry after 1 s", faultOnce(faults.HTML(503).RetryAfter(time.Second)), 0, faultCells{always: seesFine, removes: true}},
	{"503 of a proxy, retry at a date", faultOnce(faults.HTML(503).RetryAfterDate(2 * time.Second)), 0, faultCells{always: seesFine}},
	{"503 of a proxy, retry after an hour", faultAlways(faults.HTML(503).RetryAfter(time.Hour)), 0, faultCells{always: seesUnreachable}},
	{"429 twice", faultTimes(2, faults.HTML(429)), 0, faultCells{always: seesFine}},
	{"ticket expired", faultOnce(faults.Unauthorized()), 0, faultCells{always: seesFine, mount: seesRefused, removes: true}},
	{"401 always", faultAlways(faults.Unauthorized()), 0, faultCells{always: seesRefused, content: seesForbidden, removes: true}},
	{"403 always", faultAlways(faults.Status(403)), 0, faultCells{always: seesForbidden, removes: true}},
	{"401 of a node that does not know the ticket", faultTimes(2, faults.Unauthorized()), 0, faultCells{always: seesFine, mount: seesRefused, removes: true}},
	{"403 twice", faultTimes(2, faults.Status(403)), 0, faultCells{always: seesFine, mount: seesForbidden, removes: true}},
	{"403 of a gateway, twice", faultTimes(2, faults.HTML(403)), 0, faultCells{always: seesFine, removes: true}},
	{"403 of a gateway, always", faultAlways(faults.HTML(403)), 0, faultCells{always: seesForbidden, mount: seesUnreachable, removes: true}},
	{"404 twice", faultTimes(2, faults.Status(404)), 0, faultCells{always: seesFine, mount: seesStrange, removes: true}},
	{"404 of Tomcat, twice", faultTimes(2, faults.HTML(404)), 0, faultCells{always: seesFine, removes: true}},
	{"404 of Tomcat, always", faultAlways(faults.HTML(404)), 0, faultCells{create: seesUnknown, poll: seesUnseen, always: seesExpired, mount: seesUnreachable}},
	{"404 always", faultAlways(faults.Status(404)), 0, faultCells{create: seesUnknown, poll: seesUnseen, always: seesExpired, mount: seesStrange}},
	{"413 of a proxy", faultAlways(faults.HTML(413)), 0, faultCells{create: seesTooLong}},
	{"503 of a proxy that finds no server, twice", faultTimes(2, faults.NoServer()), 0, faultCells{always: seesFine, removes: true}},
	{"503 of a proxy that finds no server, always", faultAlways(faults.NoServer()), 0, faultCells{always: seesUnreachable, removes: true}},
	{"412 cold storage", faultAlways(faults.Status(412)), 0, faultCells{create: seesArchived, content: seesArchived}},
	{"409 being restored", faultAlways(faults.Status(409)), 0, faultCells{create: seesConflict, content: seesConflict}},

	// Answers that are none.
	{"web page instead of an answer, once", faultOnce(faults.HTML(200)), 0, faultCells{create: seesStrange, poll: seesFine, removes: true}},
	{"web page instead of an answer, always", faultAlways(faults.HTML(200)), 0, faultCells{always: seesStrange}},
	{"garbage, once", faultOnce(faults.JSON(200, `{"entry":{"id":`)), 0, faultCells{create: seesStrange, poll: seesFine}},
	{"garbage, always", faultAlways(faults.JSON(200, `{"entry":{"id":`)), 0, faultCells{always: seesStrange, content: seesChanged}},
	{"not HTTP", faultAlways(faults.Raw("SSH-2.0-OpenSSH_10.0\r\n")), 0, faultCells{always: seesStrange}},
	{"answer cut, once", faultOnce(faults.Truncate(5)), 0, faultCells{create: seesUncertain, always: seesFine}},
	{"answer cut, always", faultAlways(faults.Truncate(5)), 0, faultCells{create: seesUncertain, poll: seesUnreachable, mount: seesUnreachable}},
	{"bytes too many in an answer", faultAlways(faults.Overlong(1000)), 0, faultCells{always: seesStrange, content: seesFine}},
	{"answer without end", faultAlways(faults.Endless()), 0, faultCells{always: seesEndless, content: seesFine, bomb: true}},
	{"redirect to itself, once", faultOnce(faults.RedirectLoop(302)), 0, faultCells{create: seesStrange, mount: seesStrange, always: seesFine, removes: true}},
	{"redirect in a circle", faultAlways(faults.RedirectLoop(307)), 0, faultCells{always: seesStrange}},
	{"redirect to another host", faultElsewhere(302), 0, faultCells{always: seesStrange}},
	{"redirect to another host, same method", faultElsewhere(308), 0, faultCells{always: seesStrange}},
	{"redirect to another scheme", faultAlways(faults.Redirect(302, "file:///etc/passwd")), 0, faultCells{always: seesStrange}},
	{"status nobody knows, once", faultOnce(faults.Word("RESTING")), 0, faultCells{poll: seesFine}},
	{"status nobody knows, always", faultAlways(faults.Word("RESTING")), 0, faultCells{poll: seesStrange}},
	{"our own word for a status", faultAlways(faults.Word("EXPIRED")), 0, faultCells{poll: seesStrange}},
	{"counters below zero", faultAlways(faults.Counters(-1, -1, -1, -1)), 0, faultCells{poll: seesStrange}},
	{"counters too large", faultAlways(faults.Counters(1e30, 1e30, 1, 1)), 0, faultCells{poll: seesStrange}},
	{"counters of words", faultAlways(faults.Counters("a", "b", "c", "d")), 0, faultCells{poll: seesStrange}},
	{"another download's answer", faultAlways(faults.ID("11111111-1111-4111-8111-111111111111")), 0, faultCells{poll: seesStrange}},

	// Answers that are late or lost. What comes late is not asked for twice.
	{"each answer after 1 s", faultAlways(faults.Delay(time.Second)), 0, faultCells{always: seesFine, removes: true}},
	{"one answer late", faultOnce(faults.DelayAnswer(retryBudget * 9 / 16)), 0, faultCells{always: seesFine}},
	{"one answer never", faultOnce(faults.Silence()), 0, faultCells{create: seesUncertain, always: seesFine}},
	{"no answer ever", faultAlways(faults.Silence()), 0, faultCells{create: seesUncertain, always: seesUnreachable, removes: true}},
	{"connection closed, once", faultOnce(faults.DropBefore()), 0, faultCells{create: seesUncertain, always: seesFine}},
	{"connection closed, always", faultAlways(faults.DropBefore()), 0, faultCells{create: seesUncertain, always: seesUnreachable, removes: true}},
	{"answer lost, once", faultOnce(faults.DropAfter()), 0, faultCells{create: seesUncertain, always: seesFine, removes: true}},
	{"answer lost, always", faultAlways(faults.DropAfter()), 0, faultCells{create: seesUncertain, always: seesUnreachable}},

	// Content.
	{"body never begins", faultAlways(faults.Truncate(0)), 0, faultCells{content: seesUnreachable}},
	{"body breaks off every 100 kB", faultAlways(faults.Truncate(100_000)), 0, faultCells{content: seesFine}},
	{"body reset once", faultOnce(faults.Reset(200_000)), 0, faultCells{content: seesFine}},
	{"body shorter than its range says", faultAlways(faults.Short(50_000)), 0, faultCells{content: seesFine}},
	{"body stands still, once", faultOnce(faults.StallAfter(100_000, 0)), 0, faultCells{content: seesFine}},
	{"body stands still before its first byte", faultAlways(faults.StallAfter(0, 0)), 0, faultCells{content: seesUnreachable}},
	{"range starts elsewhere", faultAlways(faults.ShiftRange(1)), 0, faultCells{content: seesStrange}},
	{"range ends too late", faultAlways(faults.WrongEnd(1000)), 0, faultCells{content: seesStrange}},
	{"range is half as long", faultAlways(faults.HalfRange()), 0, faultCells{content: seesFine}},
	{"range missing", faultAlways(faults.NoContentRange()), 0, faultCells{content: seesStrange}},
	{"range unreadable", faultAlways(faults.GarbageRange()), 0, faultCells{content: seesStrange}},
	{"total changed", faultAlways(faults.WrongTotal(1)), 0, faultCells{content: seesChanged}},
	{"416", faultAlways(faults.Status(416)), 0, faultCells{content: seesChanged}},
	{"empty 206 once", faultOnce(faults.EmptyPartial()), 0, faultCells{content: seesFine}},
	{"empty 206 but at the beginning", faultNoSkip, 0, faultCells{content: seesFine}},
	{"empty 206 always", faultAlways(faults.EmptyPartial()), 0, faultCells{content: seesUnreachable}},
	{"200 to a range", faultAlways(faults.Whole()), 0, faultCells{content: seesFine}},
	{"200 to a range, in chunks", faultAlways(faults.WholeUntold()), 0, faultCells{content: seesFine}},

	// Bombs.
	{"JSON of 64 MB", faultAlways(faults.GiantJSON(202, 64<<20)), 0, faultCells{always: seesStrange, bomb: true}},
	{"JSON without end", faultAlways(faults.EndlessJSON(200)), 0, faultCells{always: seesEndless, bomb: true}},
	{"JSON nested a million deep", faultAlways(faults.DeepJSON(200, 1_000_000)), 0, faultCells{create: seesStrange, poll: seesStrange, mount: seesStrange, bomb: true}},
	{"gzip bomb of 256 MB", faultAlways(faults.GzipBomb(200, 256<<20)), 0, faultCells{always: seesStrange, bomb: true}},
	{"headers of 16 MB", faultAlways(faults.HeaderBomb(16 << 20)), 0, faultCells{always: seesStrange, bomb: true}},

	// The network.
	{"latency of 150 ms", faultNet(faults.Latency(150*time.Millisecond, 50*time.Millisecond)), 0, faultCells{always: seesFine, removes: true}},
	{"1 MB/s", faultNet(faults.Bandwidth(1000)), 0, faultCells{always: seesFine}},
	{"pieces of 1000 bytes", faultNet(faults.Slicer(1000, 200*time.Microsecond)), 0, faultCells{always: seesFine}},
	{"pieces of 8 bytes to the server", faultNet(faults.Slicer(8, 100*time.Microsecond).Upstream()), 0, faultCells{always: seesFine}},
	{"connections stay half closed", faultNet(faults.SlowClose(10 * time.Second)), 0, faultCells{always: seesFine}},
	{"100 kB per connection", faultNet(faults.LimitData(100_000)), 0, faultCells{always: seesFine}},
	{"resets for 1 s", faultNet(faults.ResetPeer()), time.Second, faultCells{create: seesUncertain, always: seesFine, removes: true}},
	{"resets for good", faultNet(faults.ResetPeer()), 0, faultCells{create: seesUncertain, always: seesUnreachable}},
	{"black hole for 1 s", faultNet(faults.Blackhole(0)), time.Second, faultCells{create: seesUncertain, always: seesFine, removes: true}},
	{"black hole for good", faultNet(faults.Blackhole(0)), 0, faultCells{create: seesUncertain, always: seesUnreachable}},
	{"unreachable for 1 s", faultOutage, time.Second, faultCells{always: seesFine, removes: true}},
	{"unreachable for good", faultOutage, 0, faultCells{always: seesUnreachable, removes: true}},
}

// faultMoments are when a fault can come, and what is seen of it.
var faultMoments = []struct {
	name string
	meet func(t *testing.T, r *faultRig, w faultRow, want *seen)
	want func(s faultCells) *seen
}{
	{"create", meetAtCreate, func(s faultCells) *seen { return s.or(s.create) }},
	{"poll", meetAtPoll, func(s faultCells) *seen { return s.or(s.poll) }},
	{"first byte", meetAtFirstByte, func(s faultCells) *seen { return s.or(s.first, s.content) }},
	{"mid-stream", meetAtMidStream, func(s faultCells) *seen { return s.or(s.mid, s.content) }},
	{"cancel", meetAtCancel, faultCells.removed},
	{"remove", meetAtRemove, faultCells.removed},
	{"mount", meetAtMount, func(s faultCells) *seen { return s.or(s.mount) }},
}

func (s faultCells) or(choices ...*seen) *seen {
	for _, c := range append(choices, s.always) {
		if c != nil {
			return c
		}
	}
	return nil
}

func (s faultCells) removed() *seen {
	if s.removes {
		return seesFine
	}
	return nil
}

// TestFaultTable: each cell of the table, on a mount of its own.
// Proves S-80, S-81.
func TestFaultTable(t *testing.T) {
	t.Parallel()
	quick := harness.StartServer(t, harness.Samples(t), "--archive-rate", "4M")
	slow := harness.StartServer(t, quick.Dir, "--archive-rate", "50K")
	cells, bombs := make(map[string]func(*testing.T)), make(map[string]func(*testing.T))
	for i, w := range faultTable {
		for j, m := range faultMoments {
			want := m.want(w.faultCells)
			if want == nil {
				continue
			}
			raced := (i+j)%4 == 0
			if harness.Race && !raced {
				continue // the race detector looks at a part of them
			}
			if share := map[bool]int{true: 0, false: 1}[raced]; !harness.InShare(t, share, m.name+"/"+w.fault) {
				continue // it is among those that the race detector looks at
			}
			server := quick
			if m.name == "cancel" {
				server = slow
			}
			into := cells
			if w.bomb {
				into = bombs
			}
			into[m.name+"/"+w.fault] = func(t *testing.T) { m.meet(t, newFaultRig(t, server), w, want) }
		}
	}
	// Most cells wait most of the time, but not on one processor.
	sideBySide(t, min(20, 10*runtime.GOMAXPROCS(0)), cells)
	sideBySide(t, 2, bombs)
}

// begin starts the row's fault. It ends when its time is over, with the test, or
// when lift is called.
func (w faultRow) begin(t testing.TB, r *faultRig, on faults.Kind) (lift func()) {
	lift = sync.OnceFunc(w.put.start(r, on))
	t.Cleanup(lift)
	if w.lasts > 0 {
		time.AfterFunc(min(harness.Scaled(w.lasts), retryBudget/2), lift)
	}
	return lift
}

// meetAtCreate: the fault is there when the list is closed.
func meetAtCreate(t *testing.T, r *faultRig, w faultRow, want *seen) {
	r.mounted(t)
	folder := r.server.NodeID(t, photos)
	w.begin(t, r, faults.Create)
	got := r.write(t, folder).Wait()
	outcome := r.outcome(t)
	want.check(t, got, outcome)
	if want.errno == 0 {
		assert.Equal(t, []string{outcome}, r.mount.List(t))
		return
	}
	assert.Empty(t, r.mount.List(t), "something was left behind")
	if want == seesUncertain {
		assert.LessOrEqual(t, r.http.Count(faults.Create), 1, "it was sent again blindly")
	}
}

// meetAtPoll: the fault is there from the first poll on.
func meetAtPoll(t *testing.T, r *faultRig, w faultRow, want *seen) {
	r.mounted(t)
	if !w.put.network {
		w.begin(t, r, faults.Get)
	}
	id := r.create(t)
	if w.put.network {
		w.begin(t, r, faults.Get)
	}
	got := r.read(t, id).Wait()
	want.check(t, got, r.mount.Status(t, id, "error"))
	if want.errno == 0 {
		r.rightBytes(t, id, got)
		assert.Equal(t, "DONE", r.mount.Status(t, id, "status"))
	}
}

// meetAtFirstByte: the fault is there when content is first asked for.
func meetAtFirstByte(t *testing.T, r *faultRig, w faultRow, want *seen) {
	r.mounted(t)
	id := r.done(t)
	lift := w.begin(t, r, faults.Content)
	r.reads(t, id, want, r.read(t, id), lift)
}

// meetAtMidStream: the fault comes after 300 kB. The first connection breaks
// then, unless it is the fault's own affair.
func meetAtMidStream(t *testing.T, r *faultRig, w faultRow, want *seen) {
	r.mounted(t)
	id := r.done(t)
	if !w.put.network {
		r.http.Inject(faults.Rule{On: faults.Content, Times: 1, Fault: faults.Truncate(300_000)})
		lift := w.begin(t, r, faults.Content)
		r.reads(t, id, want, r.read(t, id), lift)
		return
	}
	r.http.Inject(faults.Rule{On: faults.Content, Times: 1, Fault: faults.StallAfter(300_000, 300*time.Millisecond)})
	p := r.read(t, id)
	harness.Eventually(t, harness.Timeout, func() bool {
		q := r.http.Requests(faults.Content)
		return len(q) > 0 && q[0].Sent >= 300_000
	}, "no byte came")
	lift := w.begin(t, r, faults.Content)
	r.reads(t, id, want, p, lift)
}

// reads checks what a reader met. After a failure the next read works, for
// nothing is wrong any more.
func (r *faultRig) reads(t *testing.T, id string, want *seen, p *harness.Process, lift func()) {
	t.Helper()
	got := p.Wait()
	seen{errno: want.errno}.check(t, got, "")
	if want.errno != 0 {
		lift()
		got = r.read(t, id).Wait()
	}
	r.rightBytes(t, id, got)
}

// meetAtCancel: the fault is there when a running download is removed.
func meetAtCancel(t *testing.T, r *faultRig, w faultRow, _ *seen) {
	r.mounted(t)
	id := r.create(t)
	reader := r.read(t, id)
	reader.Blocked(t)
	r.removes(t, w, faults.Cancel, id)
	seen{errno: syscall.ECANCELED}.check(t, reader.Wait(), "")
}

// meetAtRemove: the fault is there when a finished download is removed.
func meetAtRemove(t *testing.T, r *faultRig, w faultRow, _ *seen) {
	r.mounted(t)
	r.removes(t, w, faults.Delete, r.done(t))
}

// removes: rmdir succeeds at once, and the server hears of it when the fault is
// gone; when it has refused the login, after a remount.
func (r *faultRig) removes(t *testing.T, w faultRow, on faults.Kind, id string) {
	t.Helper()
	lift := w.begin(t, r, on)
	began := time.Now()
	r.mount.Sh(t, "rmdir "+id).OK(t)
	assert.Less(t, time.Since(began), harness.Scaled(2*time.Second))
	assert.Empty(t, r.mount.List(t))
	if w.lasts == 0 {
		harness.Eventually(t, harness.Timeout, func() bool { return w.put.network || r.http.Count(on) > 0 }, "the server was not told")
		if w.put.network {
			time.Sleep(300 * time.Millisecond)
		}
		lift()
	}
	if w.always == seesRefused {
		r.mount.Unmount(t)
		r.mount.Remount(t)
	}
	r.forgotten(t, id)
}

// meetAtMount: the fault is there when the mount starts.
func meetAtMount(t *testing.T, r *faultRig, w faultRow, want *seen) {
	w.begin(t, r, faults.Any)
	m, failure := harness.TryMount(t, r.server, r.options())
	if want.errno == 0 {
		require.Nil(t, failure, "%+v", failure)
		assert.Empty(t, m.List(t))
		return
	}
	require.NotNil(t, failure, "it mounted")
	assert.Equal(t, want.code, failure.Code, "%+v", failure)
	assert.Contains(t, failure.Line, want.line)
	assert.NotContains(t, failure.Line, harness.AdminPassword)
}
