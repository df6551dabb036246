package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// archive is what the tests' upstream serves as content.
var archive = bytes.Repeat([]byte("0123456789abcdef"), 4096)

var acted atomic.Int64 // downloads that the upstream has made

// archiveServer is an upstream that knows just enough.
func archiveServer(t testing.TB) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+coreRoot+"/downloads", func(w http.ResponseWriter, r *http.Request) {
		acted.Add(1)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"entry":{"id":"one","status":"PENDING","bytesAdded":0}}`)
	})
	mux.HandleFunc("GET "+coreRoot+"/downloads/one", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"entry":{"id":"one","status":"DONE","bytesAdded":9007199254740993}}`)
	})
	mux.HandleFunc("GET "+coreRoot+"/nodes/{id}/content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(archive))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request, or of the body
}

var kinds = map[Kind]struct{ method, path string }{
	Create:  {"POST", coreRoot + "/downloads"},
	Get:     {"GET", coreRoot + "/downloads/one"},
	Cancel:  {"DELETE", coreRoot + "/downloads/one"},
	Delete:  {"DELETE", coreRoot + "/nodes/one?permanent=true"},
	Node:    {"GET", coreRoot + "/nodes/one"},
	Content: {"GET", coreRoot + "/nodes/one/content"},
	Resolve: {"GET", coreRoot + "/nodes/-root-?relativePath=a/b"},
	Tickets: {"POST", authRoot + "/tickets"},
	Other:   {"GET", "/elsewhere"},
}

// askTimeout is how long a request of the tests may take.
const askTimeout = 4 * time.Second

// ask sends one request on a connection of its own and gives up after two seconds.
func ask(t testing.TB, base string, kind Kind, rng string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, kinds[kind].method, base+kinds[kind].path, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Basic c2VjcmV0OnNlY3JldA==")
	if rng != "" {
		req.Header.Set("Range", rng)
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return answer{resp.StatusCode, resp.Header, body, err}
}

func TestServerPassesEverythingOn(t *testing.T) {
	s := NewServer(t, archiveServer(t))
	got := ask(t, s.URL(), Content, "bytes=16-31")
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusPartialContent, got.status)
	assert.Equal(t, "bytes 16-31/65536", got.header.Get("Content-Range"))
	assert.Equal(t, archive[16:32], got.body)

	recs := s.Requests(Any)
	require.Len(t, recs, 1)
	assert.Equal(t, Content, recs[0].Kind)
	assert.Equal(t, "bytes=16-31", recs[0].Range)
	assert.True(t, recs[0].Authorized)
	assert.Equal(t, 206, recs[0].Status)
	assert.EqualValues(t, 16, recs[0].Sent)
	assert.Eventually(t, func() bool { return s.Active(Any) == 0 }, time.Second, time.Millisecond)
	text, err := json.Marshal(recs)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "c2VjcmV0")
}

func TestKinds(t *testing.T) {
	for kind, k := range kinds {
		assert.Equal(t, kind, kindOf(httptest.NewRequest(k.method, k.path, nil)), "%s %s", k.method, k.path)
	}
}

func TestRuleCountsAndOrder(t *testing.T) {
	s := NewServer(t, archiveServer(t))
	first := s.Inject(Rule{On: Get, Skip: 1, Times: 2, Fault: Status(503)})
	second := s.Inject(Rule{On: Get, Skip: 3, If: func(r *http.Request) bool { return r.Header.Get("Range") == "" }, Fault: Status(500)})
	var got []int
	for range 5 {
		got = append(got, ask(t, s.URL(), Get, "").status)
	}
	// The second rule counts only what the first has left to it.
	assert.Equal(t, []int{200, 503, 503, 200, 200}, got)
	assert.Equal(t, 500, ask(t, s.URL(), Get, "").status)
	assert.Equal(t, 200, ask(t, s.URL(), Get, "bytes=0-").status)
	assert.Equal(t, 2, first.Hits())
	assert.Equal(t, 1, second.Hits())
	<-second.First()
	second.Remove()
	assert.Equal(t, 200, ask(t, s.URL(), Get, "").status)
	s.Inject(Rule{Fault: Status(429)})
	assert.Equal(t, 429, ask(t, s.URL(), Create, "").status)
	s.Clear()
	assert.Equal(t, 200, ask(t, s.URL(), Get, "").status)
}

func TestAnswersOfItsOwn(t *testing.T) {
	cases := []struct {
		fault  Fault
		status int
		key    string
		value  string
		body   string
	}{
		{Status(500), 500, "Content-Type", "application/json;charset=UTF-8", `"statusCode":500`},
		{Status(503).RetryAfter(3 * time.Second), 503, "Retry-After", "3", "scripted"},
		{Unauthorized(), 401, "WWW-Authenticate", `Basic realm="Alfresco"`, `"statusCode":401`},
		{HTML(502), 502, "Content-Type", "text/html", "<h1>Bad Gateway</h1>"},
		{JSON(200, `{"entry":`), 200, "Content-Length", "9", `{"entry":`},
		{Redirect(302, "/elsewhere"), 302, "Location", "/elsewhere", ""},
		{RedirectTo(307, "http://other.example/"), 307, "Location", "http://other.example" + kinds[Get].path, ""},
		{RedirectLoop(301), 301, "Location", kinds[Get].path, ""},
		{Delay(50 * time.Millisecond), 200, "", "", `"DONE"`},
		{DelayAnswer(50 * time.Millisecond), 200, "", "", `"DONE"`},
		{Pass(), 200, "", "", `"DONE"`},
		{ID("../../etc"), 200, "", "", `"id":"../../etc"`},
		{Word("BROKEN"), 200, "", "", `"status":"BROKEN"`},
		{Counters(-1, 0, 0, 0), 200, "", "", `"bytesAdded":-1`},
		{Stuck(), 200, "", "", `"IN_PROGRESS"`},
		{Entry("same", func(map[string]any) {}), 200, "", "", `9007199254740993`},
		{Raw("HTTP/1.1 299 Odd\r\n\r\nhm"), 299, "", "", "hm"},
		{GiantJSON(200, 3<<20), 200, "Content-Type", "application/json;charset=UTF-8", `"status":"PENDING"}}`},
		{DeepJSON(200, 1<<20), 200, "", "", "[[[[[["},
		{GzipBomb(200, 2<<20), 200, "Content-Encoding", "gzip", ""},
	}
	for _, c := range cases {
		t.Run(c.fault.String(), func(t *testing.T) {
			s := NewServer(t, archiveServer(t))
			s.Inject(Rule{Fault: c.fault})
			got := ask(t, s.URL(), Get, "")
			require.NoError(t, got.err)
			assert.Equal(t, c.status, got.status)
			if c.key != "" {
				assert.Equal(t, c.value, got.header.Get(c.key))
			}
			assert.Contains(t, string(got.body), c.body)
			assert.Equal(t, c.fault.String(), s.Requests(Get)[0].Fault)
		})
	}
	t.Run("Retry-After date", func(t *testing.T) {
		s := NewServer(t, archiveServer(t))
		s.Inject(Rule{Fault: Status(503).RetryAfterDate(time.Hour)})
		at, err := http.ParseTime(ask(t, s.URL(), Get, "").header.Get("Retry-After"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(time.Hour), at, 2*time.Second)
	})
}

func TestChangedBodies(t *testing.T) {
	const rng = "bytes=100-1099"
	want := archive[100:1100]
	cases := []struct {
		fault   Fault
		status  int
		crange  string
		length  int64 // the length promised; -1 if none
		body    []byte
		broken  bool // the body ends in an error
		timeout bool // it does so because the client gave up
	}{
		{Truncate(10), 206, "bytes 100-1099/65536", 1000, want[:10], true, false},
		{Truncate(0), 206, "bytes 100-1099/65536", 1000, nil, true, false},
		{Short(10), 206, "bytes 100-1099/65536", 10, want[:10], false, false},
		{Overlong(5), 206, "bytes 100-1099/65536", 1005, append(bytes.Clone(want), 0, 0, 0, 0, 0), false, false},
		{Smuggle(), 206, "bytes 100-1099/65536", 1000, want, false, false},
		{StallAfter(10, 0), 206, "bytes 100-1099/65536", 1000, want[:10], true, true},
		{StallAfter(10, 50*time.Millisecond), 206, "bytes 100-1099/65536", 1000, want, false, false},
		{Trickle(100, time.Millisecond), 206, "bytes 100-1099/65536", 1000, want, false, false},
		{ShiftRange(7), 206, "bytes 107-1106/65536", 1000, want, false, false},
		{WrongEnd(7), 206, "bytes 100-1106/65536", 1000, want, false, false},
		{HalfRange(), 206, "bytes 100-599/65536", 1000, want, false, false},
		{WrongTotal(7), 206, "bytes 100-1099/65543", 1000, want, false, false},
		{NoContentRange(), 206, "", 1000, want, false, false},
		{EmptyPartial(), 206, "bytes 100-1099/65536", 0, nil, false, false},
		{Whole(), 200, "", 65536, archive, false, false},
	}
	for _, c := range cases {
		t.Run(c.fault.String(), func(t *testing.T) {
			t.Parallel()
			s := NewServer(t, archiveServer(t))
			s.Inject(Rule{On: Content, Fault: c.fault})
			got := ask(t, s.URL(), Content, rng)
			assert.Equal(t, c.status, got.status)
			assert.Equal(t, c.crange, got.header.Get("Content-Range"))
			assert.Equal(t, strconv.FormatInt(c.length, 10), got.header.Get("Content-Length"))
			assert.True(t, bytes.Equal(c.body, got.body), "%d bytes", len(got.body))
			assert.Equal(t, c.broken, got.err != nil, "%v", got.err)
			assert.Equal(t, c.timeout, errors.Is(got.err, context.DeadlineExceeded), "%v", got.err)
		})
	}
	t.Run("unreadable range", func(t *testing.T) {
		t.Parallel()
		s := NewServer(t, archiveServer(t))
		s.Inject(Rule{On: Content, Fault: GarbageRange()})
		got := ask(t, s.URL(), Content, rng)
		assert.Contains(t, got.header.Get("Content-Range"), "99999999999999999999")
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		s := NewServer(t, archiveServer(t))
		s.Inject(Rule{On: Content, Fault: Reset(10)})
		require.ErrorContains(t, ask(t, s.URL(), Content, rng).err, "reset by peer")
	})
	for _, f := range []Fault{Endless(), EndlessJSON(200)} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			s := NewServer(t, archiveServer(t))
			s.Inject(Rule{Fault: f})
			got := ask(t, s.URL(), Content, rng)
			require.NoError(t, got.err)
			assert.Len(t, got.body, 4<<20) // as much as ask reads
			assert.Eventually(t, func() bool { return s.Active(Any) == 0 }, 2*time.Second, 5*time.Millisecond, "goes on after the client has gone")
		})
	}
}

func TestConnectionsClosed(t *testing.T) {
	s := NewServer(t, archiveServer(t))
	before := acted.Load()
	in := s.Inject(Rule{On: Create, Fault: DropBefore()})
	require.Error(t, ask(t, s.URL(), Create, "").err)
	assert.Equal(t, before, acted.Load(), "the upstream has seen it")
	in.Remove()

	s.Inject(Rule{On: Create, Fault: DropAfter()})
	require.Error(t, ask(t, s.URL(), Create, "").err)
	assert.Equal(t, before+1, acted.Load(), "the upstream has not seen it")
	assert.Zero(t, s.Requests(Create)[1].Status)

	s.Inject(Rule{On: Get, Fault: Silence()})
	require.ErrorIs(t, ask(t, s.URL(), Get, "").err, context.DeadlineExceeded)

	s.Inject(Rule{On: Content, Fault: HeaderBomb(64 << 20)})
	require.ErrorContains(t, ask(t, s.URL(), Content, "").err, "header")
}

func TestUpstreamGoneAndBack(t *testing.T) {
	up := archiveServer(t)
	s := NewServer(t, "http://127.0.0.1:1")
	require.Error(t, ask(t, s.URL(), Get, "").err, "no answer stands in for a dead upstream")
	s.SetUpstream(up)
	require.NoError(t, ask(t, s.URL(), Get, "").err)
}
