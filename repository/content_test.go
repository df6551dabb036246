package repository

import (
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// contentServer has a file of 1000 bytes and an empty one.
func contentServer(t *testing.T, cfg Config) (s *server, path, empty string, text string) {
	t.Helper()
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, "%03d\n", i)
	}
	s = newServer(t, cfg, files{"data.bin": b.String(), "empty.bin": ""})
	at := time.Date(2026, 3, 1, 12, 0, 0, 123e6, time.UTC)
	require.NoError(t, os.Chtimes(s.dir+"/data.bin", at, at))
	return s, "/nodes/" + nodeID("data.bin") + "/content", "/nodes/" + nodeID("empty.bin") + "/content", b.String()
}

// A full answer is a 200 with Content-Range, ETag and Last-Modified.
func TestFullContent(t *testing.T) {
	s, path, empty, text := contentServer(t, Config{})
	for _, headers := range [][]string{nil, {"Range", "bytes="}, {"Range", "x"}, {"Content-Range", "bytes "}, {"Range", "bytes=,"}} {
		a := s.do("GET", path, "", headers...)
		require.NoError(t, a.err)
		require.Equal(t, 200, a.status)
		require.Equal(t, text, string(a.body))
		require.Equal(t, "bytes 0-999/1000", a.header.Get("Content-Range"))
		require.Equal(t, "bytes", a.header.Get("Accept-Ranges"))
		require.Equal(t, "1000", a.header.Get("Content-Length"))
		require.Equal(t, "application/octet-stream;charset=UTF-8", a.header.Get("Content-Type"))
		require.Equal(t, `attachment; filename="data.bin"; filename*=UTF-8''data.bin`, a.header.Get("Content-Disposition"))
		require.Equal(t, `"1772366400123"`, a.header.Get("ETag"))
		require.Equal(t, "Sun, 01 Mar 2026 12:00:00 GMT", a.header.Get("Last-Modified"))
	}
	a := s.do("GET", empty, "")
	require.Equal(t, 200, a.status)
	require.Equal(t, "bytes 0--1/0", a.header.Get("Content-Range"))
	require.Equal(t, "0", a.header.Get("Content-Length"))
}

// Ranges are not what RFC 9110 says. Where Content-Length promises more than is
// sent, the connection closes early.
func TestRanges(t *testing.T) {
	s, path, empty, text := contentServer(t, Config{})
	const unsatisfiable = `"*"`
	tests := []struct {
		name         string
		path         string
		headers      []string
		status       int
		contentRange string
		length       string
		body         string
	}{
		{"closed", path, []string{"Range", "bytes=4-7"}, 206, "bytes 4-7/1000", "4", "001\n"},
		{"open", path, []string{"Range", "bytes=996-"}, 206, "bytes 996-999/1000", "4", "249\n"},
		{"from 0", path, []string{"Range", "bytes=0-"}, 206, "bytes 0-999/1000", "1000", text},
		{"suffix is 0 to its number", path, []string{"Range", "bytes=-500"}, 206, "bytes 0-500/1000", "501", text[:501]},
		{"end is not clamped", path, []string{"Range", "bytes=990-1099"}, 206, "bytes 990-1099/1000", "110", text[990:]},
		{"open at the size", path, []string{"Range", "bytes=1000-"}, 416, unsatisfiable, "0", ""},
		{"open past the size", path, []string{"Range", "bytes=5000-"}, 416, unsatisfiable, "0", ""},
		{"closed past the size", path, []string{"Range", "bytes=1000-1009"}, 206, "bytes 1000-1009/1000", "10", ""},
		{"backwards", path, []string{"Range", "bytes=800-700"}, 416, unsatisfiable, "0", ""},
		{"garbage", path, []string{"Range", "bytes=garbage"}, 416, unsatisfiable, "0", ""},
		{"open, empty file", empty, []string{"Range", "bytes=0-"}, 416, unsatisfiable, "0", ""},
		{"closed, empty file", empty, []string{"Range", "bytes=0-4"}, 206, "bytes 0-4/0", "5", ""},
		{"the unit is not read", path, []string{"Range", "lines=4-7"}, 206, "bytes 4-7/1000", "4", "001\n"},
		{"a Content-Range header wins", path, []string{"Range", "bytes=0-9", "Content-Range", "bytes 4-7/1000"}, 206, "bytes 4-7/1000", "4", "001\n"},
		{"If-Range is ignored", path, []string{"Range", "bytes=4-7", "If-Range", `"another"`}, 206, "bytes 4-7/1000", "4", "001\n"},
		{"one of several is bad", path, []string{"Range", "bytes=0-1,5-4"}, 416, unsatisfiable, "0", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := s.do("GET", tt.path, "", tt.headers...)
			require.Equal(t, tt.status, a.status)
			require.Equal(t, tt.contentRange, a.header.Get("Content-Range"))
			require.Equal(t, tt.length, a.header.Get("Content-Length"))
			require.Equal(t, tt.body, string(a.body))
			if tt.length == fmt.Sprint(len(tt.body)) {
				require.NoError(t, a.err)
			} else {
				require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
			}
			require.Empty(t, a.header.Get("ETag"), "no validator on a range")
			require.Empty(t, a.header.Get("Last-Modified"))
			require.Equal(t, "bytes", a.header.Get("Accept-Ranges"))
			if tt.status == 206 {
				require.Equal(t, "application/octet-stream;charset=UTF-8", a.header.Get("Content-Type"))
				require.NotEmpty(t, a.header.Get("Content-Disposition"))
			}
		})
	}
}

// Several ranges are multipart/byteranges with a boundary that needs quoting and
// is not quoted.
func TestMultipleRanges(t *testing.T) {
	s, path, _, text := contentServer(t, Config{})
	a := s.do("GET", path, "", "Range", "bytes=4-7, 0-3,-9")
	require.NoError(t, a.err)
	require.Equal(t, 206, a.status)
	require.Equal(t, "multipart/byteranges; boundary=<ALF4558907921887235966L>", a.header.Get("Content-Type"))
	require.Empty(t, a.header.Get("Content-Range"))
	_, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	require.Error(t, err)
	r := multipart.NewReader(strings.NewReader(string(a.body)), rangeBoundary)
	for _, want := range []byteRange{{4, 7}, {0, 3}, {0, 9}} {
		p, err := r.NextPart()
		require.NoError(t, err)
		require.Equal(t, want.contentRange(1000), p.Header.Get("Content-Range"))
		require.Equal(t, "application/octet-stream", p.Header.Get("Content-Type"))
		b, err := io.ReadAll(p)
		require.NoError(t, err)
		require.Equal(t, text[want.start:want.end+1], string(b))
	}
	_, err = r.NextPart()
	require.ErrorIs(t, err, io.EOF)

	a = s.do("GET", path, "", "Range", "bytes=4-7,0-3", "User-Agent", "Mozilla/4.0 (compatible; MSIE 9.0)")
	require.Equal(t, 1, strings.Count(string(a.body), "Content-Range"), "merged for one browser")
	require.Contains(t, string(a.body), "bytes 0-7/1000")
}

// With some content stores one skip does not reach a range's start.
func TestSkipFallsShort(t *testing.T) {
	s, path, _, text := contentServer(t, Config{SkipFails: true})
	a := s.do("GET", path, "", "Range", "bytes=4-7")
	require.Equal(t, 206, a.status)
	require.Equal(t, "4", a.header.Get("Content-Length"))
	require.Empty(t, a.body)
	require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
	require.Equal(t, text[:8], string(s.do("GET", path, "", "Range", "bytes=0-7").body))
	require.Equal(t, text, string(s.do("GET", path, "").body))
}

// Before DONE there is no content: 404, or 304, which is judged first.
func TestNoContentBeforeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1, ZipThreads: 1}, files{"a": "aaa"})
		p, waiting := s.create(nodeID("a")), s.create(nodeID("a"))
		synctest.Wait()
		for _, id := range []string{p.ID, waiting.ID} {
			path := "/nodes/" + id + "/content"
			e := s.do("GET", path, "").requireError(t, 404)
			require.Contains(t, e.BriefSummary, "Unable to locate content for node ref workspace://SpacesStore/"+id)
			s.do("GET", path, "", "Range", "bytes=0-1").requireError(t, 404)
			a := s.do("GET", path, "", "If-Modified-Since", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			require.Equal(t, http.StatusNotModified, a.status)
			s.do("GET", path, "", "If-Modified-Since", "yesterday").requireError(t, 404)

			var n map[string]any
			s.do("GET", "/nodes/"+id, "").entry(t, &n)
			require.NotContains(t, n, "content")
		}
	})
}

func TestIfModifiedSince(t *testing.T) {
	s, path, _, _ := contentServer(t, Config{})
	for since, status := range map[string]int{
		"Sun, 01 Mar 2026 12:00:00 GMT":   304,
		"Sun, 01 Mar 2026 12:00:00 +0000": 304,
		"Sun, 01 Mar 2026 13:00:00 +0100": 304,
		"Mon, 02 Mar 2026 12:00:00 GMT":   304,
		"Sun, 01 Mar 2026 11:59:59 GMT":   200,
		"never":                           200,
	} {
		require.Equal(t, status, s.do("GET", path, "", "If-Modified-Since", since).status, since)
	}
	require.Equal(t, 304, s.do("GET", path, "", "Range", "bytes=0-1", "If-Modified-Since", "Mon, 02 Mar 2026 12:00:00 GMT").status)
}

// The zip's type is octet-stream and not zip, full or in part, and says UTF-8.
func TestZipContentType(t *testing.T) {
	s := newServer(t, Config{}, files{"a.txt": "a"})
	p, b := s.archive("a.txt")
	for _, headers := range [][]string{nil, {"Range", "bytes=0-1"}} {
		a := s.do("GET", "/nodes/"+p.ID+"/content", "", headers...)
		require.Equal(t, "application/octet-stream;charset=UTF-8", a.header.Get("Content-Type"))
	}
	var n nodeJSON
	s.do("GET", "/nodes/"+p.ID, "").entry(t, &n)
	require.Equal(t, &contentJSON{"application/octet-stream", "Binary File (Octet Stream)", int64(len(b)), "UTF-8"}, n.Content)
}

// filename is ISO-8859-1 with what does not fit blanked; filename* is the name.
func TestContentDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt":       `attachment; filename="a.txt"; filename*=UTF-8''a.txt`,
		"a b'(1).txt": `attachment; filename="a b'(1).txt"; filename*=UTF-8''a%20b%27%281%29.txt`,
		"é.txt":       "attachment; filename=\"\xe9.txt\"; filename*=UTF-8''%C3%A9.txt",
		"Ω€.txt":      `attachment; filename="  .txt"; filename*=UTF-8''%CE%A9%E2%82%AC.txt`,
		"😀":           `attachment; filename="  "; filename*=UTF-8''%F0%9F%98%80`,
		"a\"\n\x7f":   `attachment; filename="a   "; filename*=UTF-8''a%22%0A%7F`,
	} {
		require.Equal(t, want, contentDisposition(name))
	}
	s := newServer(t, Config{}, files{"é Ω.txt": "", "p.pdf": "", "x.html": ""})
	a := s.do("GET", "/nodes/"+nodeID("é Ω.txt")+"/content", "")
	require.Equal(t, "attachment; filename=\"\xe9  .txt\"; filename*=UTF-8''%C3%A9%20%CE%A9.txt", a.header.Get("Content-Disposition"))
	a = s.do("GET", "/nodes/"+nodeID("p.pdf")+"/content?attachment=false", "")
	require.Empty(t, a.header.Get("Content-Disposition"))
	a = s.do("GET", "/nodes/"+nodeID("x.html")+"/content?attachment=false", "")
	require.NotEmpty(t, a.header.Get("Content-Disposition"), "not for a type that could run scripts")
}

func TestContentRefusals(t *testing.T) {
	s := newServer(t, Config{}, files{"f/a": "", "User Homes/alice/x": "x"}).as("bob")
	for path, status := range map[string]int{
		"/nodes/-root-/content":                                        400,
		"/nodes/" + nodeID("f") + "/content":                           400,
		"/nodes/" + nodeID("User Homes/alice/x") + "/content":          403,
		"/nodes/" + nodeID("nowhere") + "/content":                     404,
		"/nodes/" + nodeID("f/a") + ";pwc/content":                     404,
		"/nodes/" + nodeID("User Homes/alice/x") + ";2.3" + "/content": 403,
	} {
		s.do("GET", path, "").requireError(t, status)
	}
	require.Equal(t, 200, s.do("GET", "/nodes/"+nodeID("f/a")+";1.0/content", "").status)
}

// ContentRate holds each connection to its rate.
func TestContentRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ContentRate: 100_000}, files{"a": strings.Repeat("x", 1_000_000)})
		begun := time.Now()
		a := s.do("GET", "/nodes/"+nodeID("a")+"/content", "")
		require.Len(t, a.body, 1_000_000)
		require.InDelta(t, 10, time.Since(begun).Seconds(), 0.1)
	})
}

// An answer ends when its caller goes away, however slow it is.
func TestContentEndsWithItsCaller(t *testing.T) {
	s := newDirect(t, Config{ContentRate: 1000}, files{"a": strings.Repeat("x", 1_000_000)})
	h := httptest.NewServer(s.Repository)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", h.URL+CoreAPI+"/nodes/"+nodeID("a")+"/content", nil)
	require.NoError(t, err)
	req.SetBasicAuth("admin", "admin")
	_, err = http.DefaultClient.Do(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	begun := time.Now()
	h.Close() // waits for the answers under way
	require.Less(t, time.Since(begun), 3*time.Second)
}

// With object storage a skip to a range's start takes as long as reading does;
// what is sent is the same.
func TestSkipReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("0123456789", 100_000)
		for _, c := range []struct {
			reads   bool
			ranges  string
			seconds float64
		}{
			{false, "bytes=900000-", 1},
			{true, "bytes=900000-", 10},
			{true, "bytes=900000-900004", 9},
			{true, "bytes=0-99999", 1},
			{true, "bytes=500000-500004,400000-400004", 9},
			{true, "bytes=1000000-1000009", 0}, // nothing to send, nothing to skip for
		} {
			s := newDirect(t, Config{ContentRate: 100_000, SkipReads: c.reads}, files{"a": text})
			begun := time.Now()
			a := s.do("GET", "/nodes/"+nodeID("a")+"/content", "", "Range", c.ranges)
			require.Equal(t, 206, a.status)
			require.InDelta(t, c.seconds, time.Since(begun).Seconds(), 0.1, c.ranges)
			s.cfg.ContentRate, s.cfg.SkipReads = 0, false
			same := s.do("GET", "/nodes/"+nodeID("a")+"/content", "", "Range", c.ranges)
			require.Equal(t, string(same.body), string(a.body), c.ranges)
		}
	})
}
