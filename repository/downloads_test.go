package repository

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// The 202 is PENDING with all four counters 0, and shows exactly six properties.
func TestCreateAnswersPendingAndZeros(t *testing.T) {
	s := newDirect(t, Config{}, files{"a.txt": "hello"})
	a := s.do("POST", "/downloads", nodes(nodeID("a.txt")))
	require.Equal(t, http.StatusAccepted, a.status)
	require.Equal(t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
	var m map[string]any
	a.entry(t, &m)
	id, _ := m["id"].(string)
	require.NoError(t, uuid.Validate(id))
	require.Equal(t, map[string]any{"id": id, "status": "PENDING", "bytesAdded": 0.0, "totalBytes": 0.0,
		"filesAdded": 0.0, "totalFiles": 0.0}, m)
}

func TestDownloadIsZippedAndRead(t *testing.T) {
	s := newServer(t, Config{}, files{"a.txt": "hello", "b/c.txt": "world"})
	p, zip := s.archive("a.txt", "b")
	require.Equal(t, progressJSON{p.ID, statusDone, 10, 10, 2, 2}, p)
	require.Equal(t, []entry{{"a.txt", "hello"}, {"b/", ""}, {"b/c.txt", "world"}}, unzip(t, zip))
}

func TestCreateRefusals(t *testing.T) {
	s := newDirect(t, Config{}, files{"a.txt": "a", "b.txt": "b", "User Homes/alice/x.txt": "x"}).as("bob")
	a, hers, unknown := nodeID("a.txt"), nodeID("User Homes/alice/x.txt"), uuid.NewString()
	tests := []struct {
		name, body string
		status     int
	}{
		{"none", `{"nodeIds":[]}`, 400},
		{"twice the same", nodes(a, a), 400},
		{"unknown", nodes(unknown), 404},
		{"not readable", nodes(hers), 403},
		{"any node not readable", nodes(a, hers), 403},
		{"twice before unknown", nodes(unknown, unknown), 400},
		{"twice before forbidden", nodes(hers, hers), 400},
		{"unknown before forbidden", nodes(hers, unknown), 404},
		{"nodeIds missing", `{}`, 500},
		{"nodeIds missing, other properties known", `{"status":"DONE","id":"x"}`, 500},
		{"nodeIds null", `{"nodeIds":null}`, 500},
		{"a null in nodeIds", `{"nodeIds":[null]}`, 500},
		{"unknown property", `{"nodeIds":["` + a + `"],"recursive":true}`, 400},
		{"unknown property before missing", `{"nodeids":["` + a + `"]}`, 400},
		{"array body", `[{"nodeIds":["` + a + `"]}]`, 405},
		{"no JSON", `nodeIds=1`, 400},
		{"no body", ``, 400},
		{"a string as body", `"nodeIds"`, 400},
		{"an object in nodeIds", `{"nodeIds":[{}]}`, 400},
		{"an object as nodeIds", `{"nodeIds":{}}`, 400},
		{"a number is an id like another", `{"nodeIds":[17]}`, 404},
		{"-root- is no id", nodes("-root-"), 404},
		{"-my- is no id", nodes("-my-"), 404},
		{"-shared- is no id", nodes("-shared-"), 404},
		{"a NodeRef is no id", nodes("workspace://SpacesStore/" + a), 404},
		{"an id in capitals is another", nodes(strings.ToUpper(a)), 404},
		{"a private working copy", nodes(a + ";pwc"), 404},
		{"the empty id", nodes(""), 404},
		{"too long", `{"nodeIds":["` + strings.Repeat("x", maxBody) + `"]}`, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.do("POST", "/downloads", tt.body).requireError(t, tt.status)
		})
	}
	require.Empty(t, s.downloads.byID, "a refused request leaves nothing behind")
}

func TestCreateAccepts(t *testing.T) {
	s := newServer(t, Config{}, files{"a.txt": "a", "b.txt": "b"})
	a, b := nodeID("a.txt"), nodeID("b.txt")
	tests := []struct {
		name, body string
		want       []entry
	}{
		{"a single string for the list", `{"nodeIds":"` + a + `"}`, []entry{{"a.txt", "a"}}},
		{"a version suffix is ignored", nodes(a + ";1.0"), []entry{{"a.txt", "a"}}},
		{"duplicates are told by the raw strings", nodes(a, a+";1.0"), []entry{{"a.txt", "a"}, {"a.txt", "a"}}},
		{"properties of an answer", `{"nodeIds":["` + b + `"],"status":"DONE","totalFiles":7}`, []entry{{"b.txt", "b"}}},
		{"in the order of the request", nodes(b, a), []entry{{"b.txt", "b"}, {"a.txt", "a"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := s.do("POST", "/downloads", tt.body)
			require.Equal(t, http.StatusAccepted, answer.status, string(answer.body))
			var p progressJSON
			answer.entry(t, &p)
			s.await(p.ID, statusDone)
			require.Equal(t, tt.want, unzip(t, s.do("GET", "/nodes/"+p.ID+"/content", "").body))
		})
	}
}

// The zip is called after the node when there is exactly one.
func TestZipName(t *testing.T) {
	s := newDirect(t, Config{}, files{"report.pdf": "a", "folder/x": "b"})
	for name, ids := range map[string][]string{
		"report.pdf.zip":   {nodeID("report.pdf")},
		"folder.zip":       {nodeID("folder")},
		"archive.zip":      {nodeID("report.pdf"), nodeID("folder")},
		"Company Home.zip": {nodeID("")},
	} {
		p := s.await(s.create(ids...).ID, statusDone)
		var n nodeJSON
		s.do("GET", "/nodes/"+p.ID, "").entry(t, &n)
		require.Equal(t, name, n.Name)
		require.Equal(t, `attachment; filename="`+name+`"; filename*=UTF-8''`+strings.ReplaceAll(name, " ", "%20"),
			s.do("GET", "/nodes/"+p.ID+"/content", "").header.Get("Content-Disposition"))
	}
}

// 412 in cold storage, 409 while a restore runs, 503 overloaded; folders are
// looked into.
func TestContentStoreRefuses(t *testing.T) {
	for status := range map[int]bool{412: true, 409: true, 503: true} {
		refuse := func(path string) int {
			if path == "f/cold.txt" {
				return status
			}
			return 0
		}
		s := newDirect(t, Config{Refuse: refuse}, files{"f/cold.txt": "c", "warm.txt": "w"})
		s.do("POST", "/downloads", nodes(nodeID("f"))).requireError(t, status)
		s.do("POST", "/downloads", nodes(nodeID("warm.txt"), nodeID("f/cold.txt"))).requireError(t, status)
		s.do("GET", "/nodes/"+nodeID("f/cold.txt")+"/content", "").requireError(t, status)
		s.await(s.create(nodeID("warm.txt")).ID, statusDone)
	}
}

func TestGetDownloadRefusals(t *testing.T) {
	s := newDirect(t, Config{}, files{"a.txt": "a", "User Homes/alice/x.txt": "x"})
	admins := s.create(nodeID("a.txt")).ID
	bobs := s.as("bob").create(nodeID("a.txt")).ID
	tests := []struct {
		name, user, id string
		status         int
	}{
		{"another kind of node", "bob", nodeID("a.txt"), 400},
		{"another kind of node that may not be read", "bob", nodeID("User Homes/alice/x.txt"), 400},
		{"unknown", "bob", uuid.NewString(), 404},
		{"no UUID", "bob", "x", 404},
		{"an alias", "bob", "-root-", 404},
		{"a private working copy", "bob", bobs + ";pwc", 404},
		{"another user's", "bob", admins, 403},
		{"another user's, for the administrator", "admin", bobs, 200},
		{"a version", "bob", bobs + ";1.0", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := s.as(tt.user).do("GET", "/downloads/"+tt.id, "")
			cancelled := s.as(tt.user).do("DELETE", "/downloads/"+tt.id, "")
			if tt.status == 200 {
				require.Equal(t, 200, got.status)
				require.Equal(t, 202, cancelled.status)
				return
			}
			got.requireError(t, tt.status)
			cancelled.requireError(t, tt.status)
		})
	}
	for _, method := range []string{"GET", "DELETE"} {
		s.do(method, "/nodes/"+bobs, "") // the administrator may
		s.as("bob").do(method, "/nodes/"+admins, "").requireError(t, 403)
	}
	s.as("bob").do("GET", "/nodes/"+admins+"/content", "").requireError(t, 403)
}

// fields= restricts what is returned, of a new download too.
func TestFields(t *testing.T) {
	s := newDirect(t, Config{}, files{"a.txt": "a"})
	a := s.do("POST", "/downloads?fields=status,nonsense", nodes(nodeID("a.txt")))
	require.JSONEq(t, `{"entry":{"status":"PENDING"}}`, string(a.body))
	id := s.create(nodeID("a.txt")).ID
	s.await(id, statusDone)
	a = s.do("GET", "/downloads/"+id+"?fields=totalFiles,id", "")
	require.JSONEq(t, `{"entry":{"id":"`+id+`","totalFiles":1}}`, string(a.body))
	a = s.do("GET", "/nodes/-root-/children?fields=name", "")
	require.Contains(t, string(a.body), `"entries":[{"entry":{"name":"a.txt"}}]`)
	s.do("GET", "/downloads/"+id+"?fields=a(b", "").requireError(t, 400)
}

// 500 downloads at once are all zipped, ZipThreads at a time; the others are
// PENDING.
func TestManyDownloadsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 10_000, ZipThreads: 5}, files{"a.txt": strings.Repeat("x", 1000)})
		ids := make([]string, 500)
		for i := range ids {
			ids[i] = s.create(nodeID("a.txt")).ID
		}
		synctest.Wait()
		count := func() map[string]int {
			n := map[string]int{}
			for _, id := range ids {
				n[s.get(id).Status]++
			}
			return n
		}
		require.Equal(t, map[string]int{statusInProgress: 5, statusPending: 495}, count())
		require.Equal(t, statusInProgress, s.get(ids[0]).Status, "oldest first")
		s.await(ids[9], statusDone)
		synctest.Wait()
		require.Equal(t, map[string]int{statusDone: 10, statusInProgress: 5, statusPending: 485}, count())
		s.await(ids[499], statusDone)
		time.Sleep(time.Second) // the other threads are in their last ones
		require.Equal(t, map[string]int{statusDone: 500}, count())
	})
}

// Close ends zip threads in the middle of a file, and nothing is left on disk.
func TestCloseEndsZipping(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, files{"a.txt": strings.Repeat("x", 1000)})
	r, err := New(Config{Dir: dir, ArchiveRate: 1, ZipThreads: 2})
	require.NoError(t, err)
	s := &server{r, t, "", dir, "admin:admin"}
	for range 10 {
		s.create(nodeID("a.txt"))
	}
	data := r.dataDir
	require.DirExists(t, data)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "again")
	require.NoDirExists(t, data)
	s.do("GET", "/nodes/-root-", "").requireError(t, 503)
}

func FuzzReadNodeIDs(f *testing.F) {
	for _, s := range []string{`{"nodeIds":["a"]}`, `{"nodeIds":"a"}`, `{"nodeIds":[1,true,null]}`, `[]`, ` {`, `{"nodeIds":}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		ids, err := readNodeIDs(strings.NewReader(body))
		if err != nil {
			var e *apiError
			require.ErrorAs(t, err, &e)
			require.Contains(t, []int{400, 405, 500}, e.status)
			return
		}
		b, err := json.Marshal(ids)
		require.NoError(t, err)
		again, err := readNodeIDs(strings.NewReader(fmt.Sprintf(`{"nodeIds":%s}`, b)))
		require.NoError(t, err)
		require.Equal(t, ids, again)
	})
}

// Nothing but a DONE download's zip has a name of its own in the data directory.
func TestZipsAreComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{ArchiveRate: 1000}, files{"a.txt": strings.Repeat("x", 2000)})
		p := s.create(nodeID("a.txt"))
		synctest.Wait()
		require.Equal(t, []string{p.ID + ".zip.part"}, dirEntries(t, s.dataDir))
		s.await(p.ID, statusDone)
		require.Equal(t, []string{p.ID + ".zip"}, dirEntries(t, s.dataDir))
		f, err := os.Open(filepath.Join(s.dataDir, p.ID+".zip"))
		require.NoError(t, err)
		defer f.Close()
		fi, err := f.Stat()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode())
		b, err := io.ReadAll(f)
		require.NoError(t, err)
		require.Len(t, unzip(t, b), 1)
	})
}
