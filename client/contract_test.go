package client

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/repository"
)

// repo is an embedded repository with a few files, over HTTP.
type repo struct {
	url   string
	files map[string][]byte // by path below -root-
}

func newRepo(t *testing.T, cfg repository.Config) repo {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	cfg.Users = []repository.User{{Name: "admin", Password: "admin", Admin: true}, {Name: "alice", Password: "pa55word!"}, {Name: "bob", Password: "b0bs-own"}}
	big := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(big)
	r := repo{files: map[string][]byte{
		"Sites/x/documentLibrary/My report + 100%.txt": []byte("a report"),
		"Sites/x/documentLibrary/Übersicht & Co.bin":   big,
		"Sites/x/documentLibrary/cold.bin":             []byte("cold"),
		"Sites/x/documentLibrary/busy.bin":             []byte("busy"),
		"Sites/x/documentLibrary/load.bin":             []byte("load"),
		"User Homes/alice/mine.txt":                    []byte("alice's"),
		"User Homes/bob/his.txt":                       []byte("bob's"),
	}}
	for name, content := range r.files {
		path := filepath.Join(cfg.Dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
	cfg.Refuse = func(path string) int {
		return map[string]int{"cold.bin": 412, "busy.bin": 409, "load.bin": 503}[filepath.Base(path)]
	}
	handler, err := repository.New(cfg)
	require.NoError(t, err)
	srv := httptest.NewServer(handler)
	t.Cleanup(func() {
		srv.Close()
		require.NoError(t, handler.Close())
	})
	r.url = srv.URL
	return r
}

// client is alice's, unless change says otherwise.
func (r repo) client(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := testConfig(r.url)
	cfg.Username, cfg.MaxElapsed = "alice", 500*time.Millisecond
	for _, c := range change {
		c(&cfg)
	}
	return newClient(t, cfg)
}

func done(t *testing.T, s download.Service, id download.ID) download.Progress {
	t.Helper()
	var p download.Progress
	require.Eventually(t, func() bool {
		var err error
		p, err = s.Get(t.Context(), id)
		require.NoError(t, err)
		return p.Status.Ended()
	}, 20*time.Second, 5*time.Millisecond)
	return p
}

const library = "/Sites/x/documentLibrary/"

// TestContract checks that this client keeps the promises of download.Service and
// download.Source against the embedded repository, with each way of logging in.
func TestContract(t *testing.T) {
	for _, auth := range []string{useTicket, useBasic} {
		t.Run(auth, func(t *testing.T) {
			r := newRepo(t, repository.Config{})
			c := logIn(r.client(t), auth)
			require.NoError(t, c.Check(t.Context()))

			var nodes []download.NodeID
			names := []string{"My report + 100%.txt", "Übersicht & Co.bin"}
			for _, name := range names {
				id, err := c.Resolve(t.Context(), library+name)
				require.NoError(t, err, name)
				nodes = append(nodes, id)
			}
			p, err := c.Create(t.Context(), nodes)
			require.NoError(t, err)
			require.Equal(t, download.Progress{ID: p.ID, Status: download.StatusPending}, p)
			p = done(t, c, p.ID)
			require.Equal(t, download.StatusDone, p.Status)
			require.Equal(t, int64(2), p.FilesAdded)
			require.Equal(t, p.TotalBytes, p.BytesAdded)

			a, err := c.Archive(t.Context(), p.ID)
			require.NoError(t, err)
			require.Equal(t, p.ID, a.ID)
			require.Equal(t, "archive.zip", a.Name)
			require.Positive(t, a.Size)
			require.WithinDuration(t, time.Now(), a.ModifiedAt, time.Minute)

			whole := readAll(t, c, a, 0, a.Size)
			zr, err := zip.NewReader(bytes.NewReader(whole), a.Size)
			require.NoError(t, err)
			require.Len(t, zr.File, 2)
			for i, f := range zr.File {
				require.Equal(t, names[i], f.Name)
				rc, err := f.Open()
				require.NoError(t, err)
				content, err := io.ReadAll(rc)
				require.NoError(t, err)
				require.True(t, bytes.Equal(r.files["Sites/x/documentLibrary/"+f.Name], content))
			}
			for range 20 {
				off := rand.Int64N(a.Size)
				end := off + 1 + rand.Int64N(a.Size-off)
				require.True(t, bytes.Equal(whole[off:end], readAll(t, c, a, off, end)), "%d-%d", off, end)
			}

			require.NoError(t, c.Cancel(t.Context(), p.ID), "of an ended download it has no effect")
			p, err = c.Get(t.Context(), p.ID)
			require.NoError(t, err)
			require.Equal(t, download.StatusDone, p.Status)

			require.NoError(t, c.Delete(t.Context(), p.ID))
			_, err = c.Get(t.Context(), p.ID)
			require.ErrorIs(t, err, download.ErrNotFound)
			require.ErrorIs(t, c.Delete(t.Context(), p.ID), download.ErrNotFound)
			require.ErrorIs(t, c.Cancel(t.Context(), p.ID), download.ErrNotFound)
			_, err = c.Archive(t.Context(), p.ID)
			require.ErrorIs(t, err, download.ErrNotFound)
			_, err = c.Stream(t.Context(), a, 0, a.Size)
			require.ErrorIs(t, err, download.ErrNotFound)
		})
	}
}

func readAll(t *testing.T, s download.Source, a download.ArchiveInfo, off, end int64) []byte {
	t.Helper()
	rc, err := s.Stream(t.Context(), a, off, end)
	require.NoError(t, err)
	b, err := io.ReadAll(rc)
	require.NoError(t, err)
	require.NoError(t, rc.Close())
	return b
}

func TestContractErrors(t *testing.T) {
	r := newRepo(t, repository.Config{MaxContentSize: 2 << 20})
	c := r.client(t)
	bobs := r.client(t, func(cfg *Config) { cfg.Username, cfg.Password = "bob", "b0bs-own" })
	resolve := func(c *Client, path string) download.NodeID {
		id, err := c.Resolve(t.Context(), path)
		require.NoError(t, err, path)
		return id
	}
	report := resolve(c, library+"My report + 100%.txt")

	const unknown = "00000000-0000-4000-8000-000000000000"
	for kind, nodes := range map[error][]download.NodeID{
		download.ErrNotFound:    {unknown},
		download.ErrInvalid:     {report, report},
		download.ErrForbidden:   {report, resolve(bobs, "-my-/his.txt")},
		download.ErrArchived:    {resolve(c, library+"cold.bin")},
		download.ErrConflict:    {resolve(c, library+"busy.bin")},
		download.ErrUnavailable: {resolve(c, library+"load.bin")},
	} {
		_, err := c.Create(t.Context(), nodes)
		require.ErrorIs(t, err, kind)
		require.NotRegexp(t, `: \d{8} `, err.Error())
	}

	_, err := c.Get(t.Context(), unknown)
	require.ErrorIs(t, err, download.ErrNotFound)
	_, err = c.Get(t.Context(), download.ID(report))
	require.ErrorIs(t, err, download.ErrInvalid, "a node of another kind")

	p, err := c.Create(t.Context(), []download.NodeID{resolve(c, library+"Übersicht & Co.bin")})
	require.NoError(t, err)
	p = done(t, c, p.ID)
	require.Equal(t, download.StatusTooLarge, p.Status)
	require.Equal(t, int64(2<<20), p.BytesAdded, "the limit")
	require.Equal(t, int64(3<<20), p.TotalBytes)
	_, err = c.Archive(t.Context(), p.ID)
	require.ErrorIs(t, err, download.ErrNotReady)

	_, err = bobs.Get(t.Context(), p.ID)
	require.ErrorIs(t, err, download.ErrForbidden, "another user's download")

	for path, want := range map[string]error{
		library + "nothing.txt":   download.ErrNotFound,
		"/User Homes/bob/his.txt": download.ErrNotFound, // hidden from alice
		"-my-/his.txt":            download.ErrNotFound,
		"Sites/x":                 download.ErrInvalid,
		"":                        download.ErrInvalid,
		"-elsewhere-/x":           download.ErrInvalid,
		"../x":                    download.ErrInvalid,
	} {
		_, err := c.Resolve(t.Context(), path)
		require.ErrorIs(t, err, want, path)
	}
	require.Equal(t, resolve(c, "/User Homes/alice/mine.txt"), resolve(c, "-my-/mine.txt"))
	require.Equal(t, resolve(c, "-root-"), resolve(c, "/"))
	require.Equal(t, resolve(c, "/Sites"), resolve(c, "-root-/Sites/"))

	wrong := r.client(t, func(cfg *Config) { cfg.Password = "wr0ngOne" })
	require.ErrorIs(t, wrong.Check(t.Context()), download.ErrUnauthorized)
	_, err = wrong.Get(t.Context(), p.ID)
	require.ErrorIs(t, err, download.ErrUnauthorized)
}

func TestContractCancel(t *testing.T) {
	r := newRepo(t, repository.Config{ArchiveRate: 1 << 20})
	c := r.client(t)
	id, err := c.Resolve(t.Context(), library+"Übersicht & Co.bin")
	require.NoError(t, err)
	small, err := c.Resolve(t.Context(), library+"My report + 100%.txt")
	require.NoError(t, err)
	p, err := c.Create(t.Context(), []download.NodeID{id, small})
	require.NoError(t, err)
	_, err = c.Archive(t.Context(), p.ID)
	require.ErrorIs(t, err, download.ErrNotReady)
	_, err = c.Stream(t.Context(), download.ArchiveInfo{ID: p.ID, Size: 10}, 0, 10)
	require.ErrorIs(t, err, download.ErrNotFound, "there is no content before DONE")
	require.NoError(t, c.Cancel(t.Context(), p.ID))
	require.Equal(t, download.StatusCancelled, done(t, c, p.ID).Status)
	require.NoError(t, c.Delete(t.Context(), p.ID))
}

// The ticket ends between any two calls.
func TestContractWithDyingTickets(t *testing.T) {
	r := newRepo(t, repository.Config{TicketMaxIdle: time.Nanosecond})
	g := r.client(t)
	// Each renewed ticket is dead as well, so the password itself serves ...
	require.NoError(t, g.Check(t.Context()))

	// ... and one that lives for a moment serves for a request.
	r = newRepo(t, repository.Config{TicketMaxIdle: 50 * time.Millisecond})
	c := r.client(t)
	for range 4 {
		require.NoError(t, c.Check(t.Context()))
		time.Sleep(60 * time.Millisecond)
	}
}

func TestContractStoreThatCannotSkip(t *testing.T) {
	r := newRepo(t, repository.Config{SkipFails: true})
	c := r.client(t)
	id, err := c.Resolve(t.Context(), library+"Übersicht & Co.bin")
	require.NoError(t, err)
	p, err := c.Create(t.Context(), []download.NodeID{id})
	require.NoError(t, err)
	done(t, c, p.ID)
	a, err := c.Archive(t.Context(), p.ID)
	require.NoError(t, err)
	whole := readAll(t, c, a, 0, a.Size)
	for _, off := range []int64{1, a.Size / 2, a.Size - 1} {
		require.True(t, bytes.Equal(whole[off:], readAll(t, c, a, off, a.Size)))
	}
}

func TestContractConcurrently(t *testing.T) {
	r := newRepo(t, repository.Config{})
	c := r.client(t)
	id, err := c.Resolve(t.Context(), library+"My report + 100%.txt")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if err := roundTrip(t, c, id); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func roundTrip(t *testing.T, c *Client, id download.NodeID) error {
	p, err := c.Create(t.Context(), []download.NodeID{id})
	if err != nil {
		return err
	}
	for !p.Status.Ended() {
		time.Sleep(5 * time.Millisecond)
		if p, err = c.Get(t.Context(), p.ID); err != nil {
			return err
		}
	}
	a, err := c.Archive(t.Context(), p.ID)
	if err != nil {
		return err
	}
	rc, err := c.Stream(t.Context(), a, 0, a.Size)
	if err != nil {
		return err
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(b), "PK") {
		return fmt.Errorf("%d bytes that are no zip", len(b))
	}
	return c.Delete(t.Context(), p.ID)
}

// A list that the server accepts must be sent whole.
func TestContractManyNodes(t *testing.T) {
	r := newRepo(t, repository.Config{})
	c := r.client(t)
	nodes := make([]download.NodeID, 5000)
	for i := range nodes {
		nodes[i] = download.NodeID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	}
	_, err := c.Create(t.Context(), nodes)
	require.ErrorIs(t, err, download.ErrNotFound)
}
