package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// archiveOf returns n bytes that are the same each time, and their description.
func archiveOf(n int) ([]byte, download.ArchiveInfo) {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return content, download.ArchiveInfo{ID: testID, Name: "archive.zip", Size: int64(n)}
}

// asked returns the range a request asks for; ok is false without one.
func asked(r *http.Request) (first, last int64, ok bool) {
	_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
	return first, last, err == nil
}

// serveRange answers as Alfresco does.
func serveRange(w http.ResponseWriter, r *http.Request, content []byte) {
	w.Header().Set("Content-Type", "application/octet-stream;charset=UTF-8")
	first, last, ok := asked(r)
	code := http.StatusPartialContent
	if !ok {
		first, last, code = 0, int64(len(content))-1, http.StatusOK
		w.Header().Set("ETag", `"1"`)
	}
	part := content[first : last+1]
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
	w.Header().Set("Content-Length", strconv.Itoa(len(part)))
	w.WriteHeader(code)
	_, _ = w.Write(part)
}

func TestStream(t *testing.T) {
	content, a := archiveOf(1 << 20)
	var mu sync.Mutex
	var headers []http.Header
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		headers = append(headers, r.Header.Clone())
		mu.Unlock()
		serveRange(w, r, content)
	})
	c := newClient(t, testConfig(srv.URL))
	for _, span := range [][2]int64{{0, a.Size}, {0, 1}, {a.Size - 1, a.Size}, {1000, 500_000}, {0, firstRead}, {5, 5 + firstRead + 1}} {
		rc, err := c.Stream(t.Context(), a, span[0], span[1])
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[span[0]:span[1]], got), span)
		n, err := rc.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err, "and stays at its end")
		require.NoError(t, rc.Close())
		require.NoError(t, rc.Close(), "closing twice is harmless")
	}
	require.Equal(t, "bytes=0-1048575", headers[0].Get("Range"), "always absolute, both ends, clamped")
	require.Equal(t, "identity", headers[0].Get("Accept-Encoding"))
	require.Empty(t, headers[0].Get("If-Range"))
	require.Equal(t, "downloadfs", headers[0].Get("User-Agent"))
	require.Contains(t, srv.seen()[0], "/nodes/"+testID+"/content")
}

func TestStreamRefusesImpossibleRanges(t *testing.T) {
	srv := newServer(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, testConfig(srv.URL))
	for _, span := range [][2]int64{{-1, 5}, {5, 5}, {6, 5}, {0, 11}, {10, 11}} {
		_, err := c.Stream(t.Context(), download.ArchiveInfo{ID: testID, Size: 10}, span[0], span[1])
		require.ErrorIs(t, err, download.ErrInvalid)
	}
	require.Empty(t, srv.seen())
}

func TestStreamReusesItsConnection(t *testing.T) {
	content, a := archiveOf(300 << 10)
	conns := map[string]bool{}
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		serveRange(w, r, content)
	})
	c := newClient(t, testConfig(srv.URL))
	for range 5 {
		rc, err := c.Stream(t.Context(), a, 7, a.Size)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, rc)
		require.NoError(t, err)
		require.NoError(t, rc.Close())
	}
	require.Len(t, conns, 1)
}

// answer is one scripted answer to a content request.
type answer func(w http.ResponseWriter, r *http.Request, content []byte)

// header answers with a status, headers and a body that may not fit them.
func header(code int, contentRange string, length int, body func(content []byte) []byte) answer {
	return func(w http.ResponseWriter, r *http.Request, content []byte) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprintf(buf, "HTTP/1.1 %d X\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n", code)
		if contentRange != "" {
			fmt.Fprintf(buf, "Content-Range: %s\r\n", contentRange)
		}
		if length >= 0 {
			fmt.Fprintf(buf, "Content-Length: %d\r\n", length)
		}
		fmt.Fprint(buf, "\r\n")
		_, _ = buf.Write(body(content))
		_ = buf.Flush()
	}
}

// chunked answers with a whole body but does not tell its length first.
func chunked(body func(content []byte) []byte) answer {
	return func(w http.ResponseWriter, _ *http.Request, content []byte) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body(content))
	}
}

func part(first, end int) func([]byte) []byte {
	return func(content []byte) []byte { return content[first:end] }
}

func nothing([]byte) []byte { return nil }

func page(code int) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprint(w, "<html>hello</html>")
	}
}

func own(code int) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) { refuse(w, code, "07110001 no") }
}

// TestStreamBelieves asks for bytes 100 to 199 of 1000 and checks what each answer
// leads to. After the scripted answers, the server behaves.
// Proves S-20, S-105, S-129.
func TestStreamBelieves(t *testing.T) {
	full := func(w http.ResponseWriter, r *http.Request, content []byte) {
		r.Header.Del("Range")
		serveRange(w, r, content)
	}
	for name, c := range map[string]struct {
		script []answer
		open   error // of Stream
		read   error // of reading; nil: exactly the bytes asked for
		short  int   // bytes before read
		asks   int   // requests
	}{
		"right":                         {nil, nil, nil, 0, 1},
		"chunked or until close":        {[]answer{header(206, "bytes 100-199/1000", -1, part(100, 200))}, nil, nil, 0, 1},
		"over-long":                     {[]answer{header(206, "bytes 100-199/1000", -1, part(100, 900))}, nil, nil, 0, 1},
		"over-long with length":         {[]answer{header(206, "bytes 100-199/1000", 800, part(100, 900))}, nil, nil, 0, 1},
		"cut short":                     {[]answer{header(206, "bytes 100-199/1000", 100, part(100, 150))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"cut short until close":         {[]answer{header(206, "bytes 100-199/1000", -1, part(100, 150))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"shorter length":                {[]answer{header(206, "bytes 100-199/1000", 50, part(100, 150))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"less than asked for":           {[]answer{header(206, "bytes 100-149/1000", 50, part(100, 150))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"less, but sends more":          {[]answer{header(206, "bytes 100-149/1000", -1, part(100, 250))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"empty":                         {[]answer{header(206, "bytes 100-199/1000", 0, nothing)}, nil, nil, 0, 2},
		"empty until close":             {[]answer{header(206, "bytes 100-199/1000", -1, nothing)}, nil, nil, 0, 2},
		"empty, promised more":          {[]answer{header(206, "bytes 100-199/1000", 100, nothing), header(206, "bytes 100-199/1000", 100, nothing)}, nil, nil, 0, 3},
		"empty, then broken once":       {[]answer{header(206, "bytes 100-199/1000", 100, nothing)}, nil, nil, 0, 2},
		"never a byte":                  {[]answer{header(206, "bytes 100-199/1000", 0, nothing), header(200, "", 1000, nothing), header(206, "bytes 100-199/1000", 0, nothing), header(200, "", 1000, nothing)}, nil, nil, 0, 5},
		"never a byte, 206 to no range": {[]answer{header(206, "bytes 100-199/1000", 0, nothing), header(206, "bytes 0-999/1000", 0, nothing)}, nil, nil, 0, 3},
		"whole, 206 to no range":        {[]answer{header(206, "bytes 100-199/1000", 0, nothing), header(206, "bytes 0-999/1000", 1000, part(0, 1000))}, nil, nil, 0, 2},
		"other start, to no range":      {[]answer{header(206, "bytes 100-199/1000", 0, nothing), header(206, "bytes 100-199/1000", 100, part(100, 200))}, download.ErrProtocol, nil, 0, 2},
		"range ignored":                 {[]answer{full}, nil, nil, 0, 1},
		"range ignored, no range said":  {[]answer{header(200, "", 1000, part(0, 1000))}, nil, nil, 0, 1},
		"range ignored, cut in front":   {[]answer{header(200, "", 1000, part(0, 50))}, nil, nil, 0, 2},
		"range ignored, cut behind":     {[]answer{header(200, "", 1000, part(0, 150))}, nil, io.ErrUnexpectedEOF, 50, 1},
		"range ignored, other size":     {[]answer{header(200, "", 999, part(0, 999))}, download.ErrChanged, nil, 0, 1},
		"range ignored, sizes differ":   {[]answer{header(200, "bytes 0-998/999", 1000, part(0, 1000))}, download.ErrChanged, nil, 0, 1},
		"range ignored, chunked":        {[]answer{chunked(part(0, 1000))}, nil, nil, 0, 1},
		"range ignored, chunked, less":  {[]answer{chunked(part(0, 999))}, download.ErrChanged, nil, 0, 1},
		"range ignored, chunked, more":  {[]answer{chunked(func(c []byte) []byte { return append(c[:1000:1000], 'x') })}, download.ErrChanged, nil, 0, 1},
		"range ignored, chunked JSON": {[]answer{func(w http.ResponseWriter, _ *http.Request, content []byte) {
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(content)
		}}, download.ErrProtocol, nil, 0, 1},
		"range ignored, until close":   {[]answer{header(200, "", -1, part(0, 1000))}, download.ErrProtocol, nil, 0, 1},
		"200 for a part":               {[]answer{header(200, "bytes 100-199/1000", 100, part(100, 200))}, download.ErrProtocol, nil, 0, 1},
		"other start":                  {[]answer{header(206, "bytes 0-99/1000", 100, part(0, 100))}, download.ErrProtocol, nil, 0, 1},
		"beyond the end":               {[]answer{header(206, "bytes 100-200/1000", 101, part(100, 201))}, download.ErrProtocol, nil, 0, 1},
		"no Content-Range":             {[]answer{header(206, "", 100, part(100, 200))}, download.ErrProtocol, nil, 0, 1},
		"garbled Content-Range":        {[]answer{header(206, "bytes 100-*", 100, part(100, 200))}, download.ErrProtocol, nil, 0, 1},
		"size unknown":                 {[]answer{header(206, "bytes 100-199/*", 100, part(100, 200))}, download.ErrProtocol, nil, 0, 1},
		"other size":                   {[]answer{header(206, "bytes 100-199/1001", 100, part(100, 200))}, download.ErrChanged, nil, 0, 1},
		"416":                          {[]answer{header(416, "*", 0, nothing)}, download.ErrChanged, nil, 0, 1},
		"204":                          {[]answer{header(204, "", -1, nothing)}, download.ErrProtocol, nil, 0, 1},
		"304":                          {[]answer{header(304, "", -1, nothing)}, download.ErrProtocol, nil, 0, 1},
		"404":                          {[]answer{own(404), own(404), own(404), own(404)}, download.ErrNotFound, nil, 0, 4},
		"404 of a node that is behind": {[]answer{own(404), own(404)}, nil, nil, 0, 3},
		"403":                          {[]answer{own(403), own(403), own(403), own(403)}, download.ErrForbidden, nil, 0, 4},
		"403 for a moment":             {[]answer{own(403)}, nil, nil, 0, 2},
		"412":                          {[]answer{page(412)}, download.ErrArchived, nil, 0, 1},
		"a web page":                   {[]answer{page(200)}, download.ErrProtocol, nil, 0, 1},
		"502, 503, 504":                {[]answer{page(502), page(503), page(504)}, nil, nil, 0, 4},
		"500 twice":                    {[]answer{page(500), page(500)}, nil, nil, 0, 3},
		"encoded": {[]answer{func(w http.ResponseWriter, r *http.Request, content []byte) {
			w.Header().Set("Content-Encoding", "gzip")
			serveRange(w, r, content)
		}}, download.ErrProtocol, nil, 0, 1},
		"said to be identity": {[]answer{func(w http.ResponseWriter, r *http.Request, content []byte) {
			w.Header().Set("Content-Encoding", "identity")
			serveRange(w, r, content)
		}}, nil, nil, 0, 1},
		"no answer": {[]answer{func(http.ResponseWriter, *http.Request, []byte) { panic(http.ErrAbortHandler) }}, nil, nil, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, a := archiveOf(1000)
			var mu sync.Mutex
			script := c.script
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				var next answer = serveRange
				if len(script) > 0 {
					next, script = script[0], script[1:]
				}
				mu.Unlock()
				next(w, r, content)
			})
			rc, err := newClient(t, testConfig(srv.URL)).Stream(t.Context(), a, 100, 200)
			require.Len(t, srv.seen(), c.asks)
			if c.open != nil {
				require.ErrorIs(t, err, c.open)
				return
			}
			require.NoError(t, err)
			defer rc.Close()
			got, err := io.ReadAll(rc)
			if c.read == nil {
				require.NoError(t, err)
				require.Equal(t, content[100:200], got)
				return
			}
			require.ErrorIs(t, err, c.read)
			require.Equal(t, content[100:100+c.short], got)
			_, again := rc.Read(make([]byte, 10))
			require.ErrorIs(t, again, c.read, "an error stays")
		})
	}
}

// A store that cannot skip gives nothing for a range, whatever its start.
func TestStreamFromTheBeginningWhereRangesAreEmpty(t *testing.T) {
	content, a := archiveOf(3 * skipRead)
	for _, promise := range []bool{false, true} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			first, last, ok := asked(r)
			if !ok || first == 0 {
				serveRange(w, r, content)
				return
			}
			length := 0
			if promise {
				length = int(last - first + 1)
			}
			header(206, fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)), length, nothing)(w, r, content)
		})
		c := newClient(t, testConfig(srv.URL))
		for _, off := range []int64{1, 1000, skipRead, skipRead + 1, a.Size - 1} {
			rc, err := c.Stream(t.Context(), a, off, a.Size)
			require.NoError(t, err)
			got, err := io.ReadAll(rc)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content[off:], got), off)
			require.NoError(t, rc.Close())
		}
	}
}

// Proves S-73.
func TestStreamRenewsItsTicket(t *testing.T) {
	content, a := archiveOf(1000)
	g := &gate{password: "pa55word!"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/content") {
			rec := httptest.NewRecorder()
			if g.ServeHTTP(rec, r); rec.Code == http.StatusOK {
				serveRange(w, r, content)
				return
			}
		}
		g.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c := newClient(t, testConfig(srv.URL))
	for range 3 {
		rc, err := c.Stream(t.Context(), a, 10, 20)
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.Equal(t, content[10:20], got)
		rc.Close()
		g.expire()
	}
}

// stalling serves the first bytes of each range and then nothing more.
func stalling(t *testing.T, content []byte, serve int64) (*server, chan struct{}) {
	release := make(chan struct{})
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		first, last, _ := asked(r)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(206)
		_, _ = w.Write(content[first : first+serve])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	return srv, release
}

// Proves S-74.
func TestIdleStreamIsDropped(t *testing.T) {
	content, a := archiveOf(1000)
	srv, _ := stalling(t, content, 100)
	cfg := testConfig(srv.URL)
	cfg.IdleTimeout = 200 * time.Millisecond
	rc, err := newClient(t, cfg).Stream(t.Context(), a, 0, a.Size)
	require.NoError(t, err)
	defer rc.Close()
	// A reader that takes its time is not the server's fault.
	time.Sleep(2 * cfg.IdleTimeout)
	start := time.Now()
	got, err := io.ReadAll(rc)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "no byte came")
	require.Equal(t, content[:100], got)
	require.GreaterOrEqual(t, time.Since(start), cfg.IdleTimeout)
	require.Less(t, time.Since(start), 20*cfg.IdleTimeout)
}

func TestStreamIdleBeforeItsFirstByteIsTriedAgain(t *testing.T) {
	content, a := archiveOf(1000)
	n := 0
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if n++; n > 1 {
			serveRange(w, r, content)
			return
		}
		w.Header().Set("Content-Range", "bytes 0-999/1000")
		w.WriteHeader(206)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	cfg := testConfig(srv.URL)
	cfg.IdleTimeout = time.Second
	rc, err := newClient(t, cfg).Stream(t.Context(), a, 0, a.Size)
	require.NoError(t, err)
	got, err := io.ReadAll(rc)
	require.NoError(t, err)
	require.Equal(t, content, got)
	rc.Close()
	require.Equal(t, 2, n)
}

// Proves S-74.
func TestSlowStreamThatMovesIsLeftAlone(t *testing.T) {
	content, a := archiveOf(20)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-19/20")
		w.WriteHeader(206)
		for i := range content {
			_, _ = w.Write(content[i : i+1])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	cfg := testConfig(srv.URL)
	cfg.IdleTimeout = time.Second
	cfg.RequestTimeout = time.Second // bounds the wait for the beginning only
	rc, err := newClient(t, cfg).Stream(t.Context(), a, 0, a.Size)
	require.NoError(t, err)
	defer rc.Close()
	got, err := io.ReadAll(rc)
	require.NoError(t, err)
	require.Equal(t, content, got)
}

func TestCancelEndsARead(t *testing.T) {
	content, a := archiveOf(1000)
	srv, _ := stalling(t, content, 100)
	ctx, cancel := context.WithCancel(t.Context())
	rc, err := newClient(t, testConfig(srv.URL)).Stream(ctx, a, 0, a.Size)
	require.NoError(t, err)
	defer rc.Close()
	_, err = io.ReadFull(rc, make([]byte, 100))
	require.NoError(t, err)
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err = rc.Read(make([]byte, 100))
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(start), 4*time.Second)
	_, err = rc.Read(make([]byte, 100))
	require.ErrorIs(t, err, context.Canceled)
}

func TestCancelEndsTheWaitForAStream(t *testing.T) {
	_, a := archiveOf(1000)
	for name, handle := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"come back later": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		},
	} {
		srv := newServer(t, handle)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		_, err := newClient(t, testConfig(srv.URL)).Stream(ctx, a, 0, a.Size)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		require.Less(t, time.Since(start), 4*time.Second, name)
		cancel()
	}
}

func TestCloseEndsARead(t *testing.T) {
	content, a := archiveOf(1000)
	srv, _ := stalling(t, content, 100)
	rc, err := newClient(t, testConfig(srv.URL)).Stream(t.Context(), a, 0, a.Size)
	require.NoError(t, err)
	_, err = io.ReadFull(rc, make([]byte, 100))
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { _, err := rc.Read(make([]byte, 100)); ended <- err }()
	time.Sleep(50 * time.Millisecond)
	_ = rc.Close()
	select {
	case err := <-ended:
		require.Error(t, err)
		require.False(t, errors.Is(err, io.EOF))
	case <-time.After(10 * time.Second):
		t.Fatal("the read goes on")
	}
}

// The caller resumes after connections reset in mid-stream, at the byte it reached.
func TestStreamIsResumedAtTheByteReached(t *testing.T) {
	content, a := archiveOf(1 << 20)
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		first, last, _ := asked(r)
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprintf(buf, "HTTP/1.1 206 X\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n", first, last, len(content), last-first+1)
		_, _ = buf.Write(content[first:min(last+1, first+100_000)])
		_ = buf.Flush()
		time.Sleep(20 * time.Millisecond)
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset, not an orderly end
		conn.Close()
	})
	c := newClient(t, testConfig(srv.URL))
	var got []byte
	for streams := 0; int64(len(got)) < a.Size; streams++ {
		require.Less(t, streams, 50)
		rc, err := c.Stream(t.Context(), a, int64(len(got)), a.Size)
		require.NoError(t, err)
		b, err := io.ReadAll(rc)
		rc.Close()
		got = append(got, b...)
		if int64(len(got)) < a.Size {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
	require.True(t, bytes.Equal(content, got))
}
