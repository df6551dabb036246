package repository

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func (s *server) node(path string) map[string]any {
	s.t.Helper()
	a := s.do("GET", path, "")
	require.Equal(s.t, 200, a.status, string(a.body))
	var m map[string]any
	a.entry(s.t, &m)
	return m
}

func TestGetNode(t *testing.T) {
	s := newDirect(t, Config{}, files{"Sites/x/documentLibrary/Report.pdf": "12345"})
	at := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(s.dir, "Sites/x/documentLibrary/Report.pdf"), at, at))
	const path = "Sites/x/documentLibrary/Report.pdf"
	user := map[string]any{"id": "admin", "displayName": "Administrator"}
	want := map[string]any{
		"id": nodeID(path), "name": "Report.pdf", "nodeType": "cm:content", "isFile": true, "isFolder": false,
		"parentId": nodeID("Sites/x/documentLibrary"), "createdAt": "2026-08-01T10:00:00.000+0000",
		"modifiedAt": "2026-08-01T10:00:00.000+0000", "createdByUser": user, "modifiedByUser": user,
		"content": map[string]any{"mimeType": "application/pdf", "mimeTypeName": "Adobe PDF Document",
			"sizeInBytes": 5.0, "encoding": "UTF-8"},
		"aspectNames": []any{"cm:auditable"}, "properties": map[string]any{"cm:name": "Report.pdf"},
	}
	require.Equal(t, want, s.node("/nodes/"+nodeID(path)))
	require.Equal(t, want, s.node("/nodes/"+nodeID(path)+";1.0"))

	want["isLocked"] = false
	want["allowableOperations"] = []any{"delete"}
	want["path"] = map[string]any{"name": "/Company Home/Sites/x/documentLibrary", "isComplete": true, "elements": []any{
		map[string]any{"id": nodeID(""), "name": "Company Home", "nodeType": "cm:folder"},
		map[string]any{"id": nodeID("Sites"), "name": "Sites", "nodeType": "st:sites"},
		map[string]any{"id": nodeID("Sites/x"), "name": "x", "nodeType": "st:site"},
		map[string]any{"id": nodeID("Sites/x/documentLibrary"), "name": "documentLibrary", "nodeType": "cm:folder"},
	}}
	require.Equal(t, want, s.node("/nodes/"+nodeID(path)+"?include=path,isLocked,allowableOperations"))

	root := s.node("/nodes/-root-")
	require.Equal(t, nodeID(""), root["id"])
	require.Equal(t, "Company Home", root["name"])
	require.NotContains(t, root, "parentId")
	require.NotContains(t, root, "content")
}

func TestGetDownloadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{}, files{"a.txt": "aaa"}).as("bob")
		time.Sleep(time.Minute)
		p := s.create(nodeID("a.txt"))
		s.await(p.ID, statusDone)
		n := s.node("/nodes/" + p.ID + "?include=path,isLocked")
		require.Equal(t, "download:download", n["nodeType"])
		require.Equal(t, "a.txt.zip", n["name"])
		require.Equal(t, true, n["isFile"])
		require.Equal(t, false, n["isFolder"])
		require.Equal(t, "2000-01-01T00:01:00.000+0000", n["createdAt"])
		require.Equal(t, map[string]any{"id": "bob", "displayName": "bob"}, n["createdByUser"])
		require.Equal(t, float64(len(s.do("GET", "/nodes/"+p.ID+"/content", "").body)),
			n["content"].(map[string]any)["sizeInBytes"])
		modified := n["modifiedAt"]
		time.Sleep(time.Minute)
		require.Equal(t, modified, s.node("/nodes/" + p.ID)["modifiedAt"])
		s.do("GET", "/nodes/"+p.ID+"?relativePath=x", "").requireError(t, 400)
	})
}

// Ids are the same in every run and everywhere.
func TestNodeIDsAreStable(t *testing.T) {
	require.Equal(t, "7081c6f9-82c0-5c4c-bdde-a298fcd62c3f", nodeID("Sites/x/documentLibrary"))
	u := uuid.MustParse(nodeID(""))
	require.Equal(t, uuid.Version(5), u.Version())
}

// An id is known before it was listed, even the id of a new file.
func TestNodeByIDOnly(t *testing.T) {
	s := newDirect(t, Config{}, files{"a/b/c.txt": "c"})
	require.Equal(t, "c.txt", s.node("/nodes/" + nodeID("a/b/c.txt"))["name"])
	writeFiles(t, s.dir, files{"a/new/d.txt": "d"})
	require.Equal(t, "d.txt", s.node("/nodes/" + nodeID("a/new/d.txt"))["name"])
	require.NoError(t, os.Remove(filepath.Join(s.dir, "a/new/d.txt")))
	s.do("GET", "/nodes/"+nodeID("a/new/d.txt"), "").requireError(t, 404)
}

func TestRelativePath(t *testing.T) {
	s := newDirect(t, Config{}, files{
		"Sites/x/documentLibrary/a.txt": "a", "User Homes/bob/mine.txt": "m", "User Homes/alice/hers.txt": "h", "Shared/s.txt": "s",
	}).as("bob")
	tests := []struct {
		id, path, want string // "" for 404
	}{
		{"-root-", "Sites/x/documentLibrary/a.txt", "Sites/x/documentLibrary/a.txt"},
		{"-root-", "/Sites/x/documentLibrary/a.txt", "Sites/x/documentLibrary/a.txt"},
		{"-root-", "Sites//x/documentLibrary/", "Sites/x/documentLibrary"},
		{"-root-", "/", ""}, // the root itself
		{"-my-", "mine.txt", "User Homes/bob/mine.txt"},
		{"-shared-", "s.txt", "Shared/s.txt"},
		{nodeID("Sites/x"), "documentLibrary/a.txt", "Sites/x/documentLibrary/a.txt"},
		{"-root-", "User Homes/bob/mine.txt", "User Homes/bob/mine.txt"},
	}
	for _, tt := range tests {
		n := s.node("/nodes/" + tt.id + "?relativePath=" + queryEscape(tt.path))
		require.Equal(t, nodeID(tt.want), n["id"], tt.path)
	}
	for _, path := range []string{
		"nowhere", "Sites/x/nowhere/a.txt", "Sites/x/documentLibrary/a.txt/b", "Sites/../Sites", ".", "..", "Sites/x\x00",
		"User Homes/alice/hers.txt", "User Homes/alice", // 403 by id, 404 by path
	} {
		s.do("GET", "/nodes/-root-?relativePath="+queryEscape(path), "").requireError(t, 404)
	}
	s.do("GET", "/nodes/"+nodeID("User Homes/alice/hers.txt"), "").requireError(t, 403)
	s.do("GET", "/nodes/"+nodeID("User Homes/alice")+"?relativePath=hers.txt", "").requireError(t, 403)
	s.do("GET", "/nodes/"+nodeID("Shared/s.txt")+"?relativePath=a", "").requireError(t, 400)
}

// -my- is the user's home, if there is one; another's is readable by the
// administrator only.
func TestUserHomes(t *testing.T) {
	s := newDirect(t, Config{}, files{"User Homes/alice/a.txt": "a", "User Homes/bob/b.txt": "b"})
	require.Equal(t, nodeID("User Homes/alice"), s.as("alice").node("/nodes/-my-")["id"])
	s.do("GET", "/nodes/-my-", "").requireError(t, 404)
	s.do("GET", "/nodes/-shared-", "").requireError(t, 404)
	for user, status := range map[string]int{"alice": 200, "admin": 200, "bob": 403} {
		for _, path := range []string{"User Homes/alice", "User Homes/alice/a.txt"} {
			require.Equal(t, status, s.as(user).do("GET", "/nodes/"+nodeID(path), "").status)
		}
		require.Equal(t, status, s.as(user).do("GET", "/nodes/"+nodeID("User Homes/alice/a.txt")+"/content", "").status)
		require.Equal(t, status, s.as(user).do("GET", "/nodes/"+nodeID("User Homes/alice")+"/children", "").status)
	}
}

// A deleted node is forgotten and the folder on disk left as it is.
func TestDeleteNode(t *testing.T) {
	s := newDirect(t, Config{}, files{"f/a.txt": "a", "f/g/b.txt": "b", "User Homes/bob/x/y": "y", "Sites/x/z": "z"})
	bob := s.as("bob")
	for path, status := range map[string]int{
		"f/a.txt": 403, "User Homes": 403, "User Homes/bob": 403, "Sites": 403, "Sites/x": 403, "": 403, "nowhere": 404,
	} {
		bob.do("DELETE", "/nodes/"+nodeID(path), "").requireError(t, status)
	}
	s.do("DELETE", "/nodes/"+nodeID("Sites/x"), "").requireError(t, 403) // a site, for the administrator too
	s.do("DELETE", "/nodes/-root-", "").requireError(t, 403)

	a := bob.do("DELETE", "/nodes/"+nodeID("User Homes/bob/x"), "")
	require.Equal(t, http.StatusNoContent, a.status)
	require.Empty(t, a.body)
	bob.do("GET", "/nodes/"+nodeID("User Homes/bob/x"), "").requireError(t, 404)
	bob.do("GET", "/nodes/"+nodeID("User Homes/bob/x/y"), "").requireError(t, 404)
	bob.do("DELETE", "/nodes/"+nodeID("User Homes/bob/x"), "").requireError(t, 404)

	require.Equal(t, 204, s.do("DELETE", "/nodes/"+nodeID("f/g")+"?permanent=true", "").status)
	_, kept := s.tree.byPath("f/a.txt")
	require.True(t, kept)
	p := s.await(s.create(nodeID("f")).ID, statusDone)
	require.Equal(t, int64(1), p.TotalFiles, "not zipped any more")
	require.Equal(t, []string{"a.txt", "g"}, dirEntries(t, filepath.Join(s.dir, "f")))
	require.FileExists(t, filepath.Join(s.dir, "User Homes/bob/x/y"))
}

// A deleted download is gone at once, permanent or not, zip and all.
func TestDeleteDownload(t *testing.T) {
	s := newDirect(t, Config{}, files{"a": "a"}).as("bob")
	for _, query := range []string{"", "?permanent=true", "?permanent=false"} {
		p := s.await(s.create(nodeID("a")).ID, statusDone)
		require.NotEmpty(t, dirEntries(t, s.dataDir))
		s.as("alice").do("DELETE", "/nodes/"+p.ID, "").requireError(t, 403)
		require.Equal(t, 204, s.do("DELETE", "/nodes/"+p.ID+query, "").status)
		s.do("GET", "/downloads/"+p.ID, "").requireError(t, 404)
		s.do("GET", "/nodes/"+p.ID+"/content", "").requireError(t, 404)
		require.Empty(t, dirEntries(t, s.dataDir))
	}
}

// Neither a link nor a special file is a node, and no path leads out of the folder.
func TestLinksAreNoNodes(t *testing.T) {
	outside := t.TempDir()
	writeFiles(t, outside, files{"secret.txt": "s"})
	s := newServer(t, Config{}, files{"f/a.txt": "a", "User Homes/alice/x.txt": "x"})
	for name, target := range map[string]string{
		"out": outside, "f/file": filepath.Join(outside, "secret.txt"), "f/round": "..", "f/in": "a.txt",
		"f/relative": "../../" + filepath.Base(outside), "hers": "User Homes/alice", "f/nowhere": "nowhere",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(s.dir, name)))
		s.do("GET", "/nodes/"+nodeID(name), "").requireError(t, 404)
		s.do("GET", "/nodes/-root-?relativePath="+queryEscape(name), "").requireError(t, 404)
	}
	for _, path := range []string{"out/secret.txt", "f/round/f/a.txt", "hers/x.txt"} {
		s.do("GET", "/nodes/"+nodeID(path), "").requireError(t, 404)
		s.do("GET", "/nodes/-root-?relativePath="+queryEscape(path), "").requireError(t, 404)
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(s.dir, "f/pipe"), 0o600))
	s.do("GET", "/nodes/"+nodeID("f/pipe"), "").requireError(t, 404)
	_, b := s.archive("f")
	require.Equal(t, []string{"f/", "f/a.txt"}, names(unzip(t, b)))
	var list struct {
		List struct{ Entries []struct{ Entry nodeJSON } }
	}
	require.NoError(t, json.Unmarshal(s.do("GET", "/nodes/"+nodeID("f")+"/children", "").body, &list))
	require.Len(t, list.List.Entries, 1)
}

// A name that is not UTF-8 cannot be written in JSON and is no node's.
func TestNamesAreUTF8(t *testing.T) {
	s := newDirect(t, Config{}, files{"f/a.txt": "a"})
	bad := filepath.Join(s.dir, "f/\xff")
	if err := os.MkdirAll(filepath.Join(bad, "sub"), 0o700); err != nil {
		t.Skipf("this file system knows no such names: %v", err)
	}
	_, names := s.children(nodeID("f"), "")
	require.Equal(t, []string{"a.txt"}, names)
	for _, path := range []string{"f/\xff", "f/\xff/sub"} {
		s.do("GET", "/nodes/"+nodeID(path), "").requireError(t, 404)
		s.do("GET", "/nodes/-root-?relativePath="+queryEscape(path), "").requireError(t, 404)
	}
	require.Equal(t, int64(1), s.await(s.create(nodeID("f")).ID, statusDone).TotalFiles)
}

func TestUnknownCalls(t *testing.T) {
	s := newDirect(t, Config{}, files{"a": "a"})
	for call, status := range map[string]int{
		"GET /downloads": 405, "PUT /downloads/x": 405, "POST /downloads/x": 405, "PUT /nodes/x": 405,
		"POST /nodes/x/children": 405, "PUT /nodes/x/content": 405, "GET /sites": 404, "GET /nodes": 404,
		"HEAD /nodes/-root-": 405, "HEAD /downloads/x": 405,
	} {
		method, path, _ := cutCall(call)
		s.do(method, path, "").requireError(t, status)
	}
	s.ask("GET", "/alfresco/api/other/public/alfresco/versions/1/nodes/-root-", "").requireError(t, 404)
}

// HEAD is not part of the API, for content neither.
func TestHead(t *testing.T) {
	s := newServer(t, Config{}, files{"a": "a"})
	require.Equal(t, 405, s.do("HEAD", "/nodes/"+nodeID("a")+"/content", "").status)
}

// An error says what it is about in Alfresco's words.
func TestErrorBody(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	id := uuid.NewString()
	e := s.do("GET", "/downloads/"+id, "").requireError(t, 404)
	require.Equal(t, "framework.exception.EntityNotFound", e.ErrorKey)
	require.Regexp(t, `^\d{8} The entity with id: `+id+` was not found$`, e.BriefSummary)
	require.NotEmpty(t, e.StackTrace)
	require.NotEmpty(t, e.DescriptionURL)
	e = s.do("POST", "/downloads", nodes()).requireError(t, 400)
	require.Equal(t, "Cannot create an archive with 0 entries.", e.ErrorKey)
}

func TestPeopleAndDiscovery(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	var p personJSON
	s.as("alice").do("GET", "/people/-me-", "").entry(t, &p)
	require.Equal(t, personJSON{ID: "alice", FirstName: "alice", DisplayName: "alice", Email: "alice@example.com", Enabled: true}, p)
	s.do("GET", "/people/admin", "").entry(t, &p)
	require.True(t, p.Capabilities.IsAdmin)
	s.do("GET", "/people/eve", "").requireError(t, 404)
	var d discoveryJSON
	s.ask("GET", "/alfresco/api/discovery", "").entry(t, &d)
	require.Equal(t, "26", d.Repository.Version.Major)
}
