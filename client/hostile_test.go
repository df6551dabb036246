package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// everyCall makes each call of the contract and returns the errors.
func everyCall(ctx context.Context, c *Client) map[string]error {
	errs := map[string]error{"check": c.Check(ctx), "cancel": c.Cancel(ctx, testID), "delete": c.Delete(ctx, testID)}
	_, errs["create"] = c.Create(ctx, []download.NodeID{"a"})
	_, errs["get"] = c.Get(ctx, testID)
	_, errs["archive"] = c.Archive(ctx, testID)
	_, errs["resolve"] = c.Resolve(ctx, "/a")
	rc, err := c.Stream(ctx, download.ArchiveInfo{ID: testID, Size: 100}, 10, 50)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
		rc.Close()
	}
	errs["stream"] = err
	return errs
}

// endless is a reader of a's that counts how many were read.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// Proves S-75.
func TestHostileBodiesAreBounded(t *testing.T) {
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(zw, endless{}, 8<<20)
	_ = zw.Close()
	for name, handle := range map[string]http.HandlerFunc{
		"endless JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"entry":{"id":"`)
			_, _ = io.Copy(w, endless{})
		},
		"endless refusal": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.Copy(w, endless{})
		},
		"endless page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.Copy(w, endless{})
		},
		"nested": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"entry":`, strings.Repeat("[", 1<<19))
		},
		"one big name": func(w http.ResponseWriter, _ *http.Request) {
			entry(w, 200, map[string]any{"id": strings.Repeat("x", 1<<19), "name": strings.Repeat("y", 1<<18)})
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"header bomb": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 500 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("h", 4000))
			}
			w.WriteHeader(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, handle)
			cfg := testConfig(srv.URL)
			cfg.MaxElapsed = 300 * time.Millisecond
			c := newClient(t, cfg)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			for call, err := range everyCall(t.Context(), c) {
				// If a success needs no answer, its body does not matter.
				if call != "cancel" && call != "delete" {
					require.Error(t, err, call)
				}
				if err != nil {
					require.Less(t, len(err.Error()), 700, call)
				}
			}
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20))
			require.Less(t, time.Since(start), 30*time.Second)
		})
	}
}

// A body that dribbles for ever is not waited for beyond the time for a request.
// Proves S-75.
func TestDribblingAnswersEnd(t *testing.T) {
	for _, code := range []int{200, 404} {
		srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		})
		cfg := testConfig(srv.URL)
		cfg.MaxElapsed, cfg.RequestTimeout, cfg.IdleTimeout = -1, 100*time.Millisecond, 100*time.Millisecond
		c := newClient(t, cfg)
		start := time.Now()
		for call, err := range everyCall(t.Context(), c) {
			if code != 200 || call != "cancel" && call != "delete" {
				require.Error(t, err, call)
			}
		}
		require.Less(t, time.Since(start), 8*time.Second)
	}
}

// TestNoSecretInErrorsOrLogs has a server send back everything it was sent, in every
// place that a message could come from.
// Proves S-66.
func TestNoSecretInErrorsOrLogs(t *testing.T) {
	const password, ticket = "c0rrect-h0rse", "TICKET_feedfacecafebeef"
	echo := func(r *http.Request) string {
		auth := r.Header.Get("Authorization")
		plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(auth, "Basic "))
		return fmt.Sprintf("Authorization: %s, %s, alf_ticket=%s, %s", auth, strings.TrimPrefix(auth, "Basic "), plain, plain)
	}
	servers := map[string]http.HandlerFunc{
		"in a summary": func(w http.ResponseWriter, r *http.Request) { refuse(w, 400, "07110001 "+echo(r)) },
		"in a 503":     func(w http.ResponseWriter, r *http.Request) { refuse(w, 503, echo(r)) },
		"in a 401":     func(w http.ResponseWriter, r *http.Request) { refuse(w, 401, echo(r)) },
		"in a redirect": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://"+password+":"+ticket+"@elsewhere.example.org/"+ticket+"/x?alf_ticket="+ticket)
			w.WriteHeader(302)
		},
		"in an entry": func(w http.ResponseWriter, r *http.Request) {
			entry(w, 200, map[string]any{"id": echo(r), "status": echo(r)})
		},
		"in an encoding": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Encoding", echo(r)) },
		"in a content range": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", echo(r))
			w.WriteHeader(206)
		},
		"in no HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "%s\r\n\r\n", echo(r))
			conn.Close()
		},
	}
	for name, handle := range servers {
		for _, auth := range []string{useTicket, useBasic, "fixed"} {
			t.Run(name+" "+auth, func(t *testing.T) {
				t.Parallel()
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/tickets") {
						entry(w, 201, map[string]any{"id": ticket})
						return
					}
					handle(w, r)
				}))
				defer srv.Close()
				var log syncBuffer
				cfg := testConfig(srv.URL)
				cfg.Password, cfg.MaxElapsed = password, 250*time.Millisecond
				if auth == "fixed" {
					cfg.Username, cfg.Password = "", ticket
				}
				cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)}))
				shown := []string{}
				for _, err := range everyCall(t.Context(), logIn(newClient(t, cfg), auth)) {
					if err != nil {
						shown = append(shown, err.Error(), fmt.Sprintf("%+v %#v", err, err))
					}
				}
				shown = append(shown, log.String())
				require.NotEmpty(t, log.String())
				basic := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
				asTicket := base64.StdEncoding.EncodeToString([]byte(ticket))
				for _, text := range shown {
					for _, secret := range []string{password, ticket, "feedface", basic, basic[6:], asTicket, asTicket[8:20], "Authorization", "alf_ticket"} {
						require.NotContains(t, text, secret)
					}
				}
			})
		}
	}
}

// syncBuffer is a buffer for a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
