package repository

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type childList struct {
	List struct {
		Pagination paginationJSON
		Entries    []struct{ Entry nodeJSON }
		Source     *nodeJSON
	}
}

func (s *server) children(id, query string) (paginationJSON, []string) {
	s.t.Helper()
	a := s.do("GET", "/nodes/"+id+"/children?"+query, "")
	require.Equal(s.t, 200, a.status, string(a.body))
	var l childList
	require.NoError(s.t, json.Unmarshal(a.body, &l))
	names := []string{}
	for _, e := range l.List.Entries {
		names = append(names, e.Entry.Name)
	}
	return l.List.Pagination, names
}

func TestChildrenPages(t *testing.T) {
	s := newDirect(t, Config{}, files{"f/c": "", "f/a": "", "f/b": "", "f/z/": "", "empty/": ""})
	f := nodeID("f")
	tests := []struct {
		id, query string
		page      paginationJSON
		names     []string
	}{
		{f, "", paginationJSON{4, false, 4, 0, 100}, []string{"z", "a", "b", "c"}},
		{f, "maxItems=2", paginationJSON{2, true, 4, 0, 2}, []string{"z", "a"}},
		{f, "maxItems=2&skipCount=2", paginationJSON{2, false, 4, 2, 2}, []string{"b", "c"}},
		{f, "maxItems=2&skipCount=3", paginationJSON{1, false, 4, 3, 2}, []string{"c"}},
		{f, "skipCount=9", paginationJSON{0, false, 4, 9, 100}, []string{}},
		{nodeID("empty"), "", paginationJSON{0, false, 0, 0, 100}, []string{}},
		{"-root-", "relativePath=f&maxItems=1", paginationJSON{1, true, 4, 0, 1}, []string{"z"}},
		{f, "where=" + queryEscape("(isFile=true)"), paginationJSON{3, false, 3, 0, 100}, []string{"a", "b", "c"}},
		{f, "where=" + queryEscape("(isFolder=true)"), paginationJSON{1, false, 1, 0, 100}, []string{"z"}},
		{f, "where=" + queryEscape("(nodeType='cm:content' AND isFile=true)"), paginationJSON{3, false, 3, 0, 100}, []string{"a", "b", "c"}},
		{f, "orderBy=" + queryEscape("name DESC"), paginationJSON{4, false, 4, 0, 100}, []string{"z", "c", "b", "a"}},
		{f, "orderBy=" + queryEscape("isFolder,name desc"), paginationJSON{4, false, 4, 0, 100}, []string{"c", "b", "a", "z"}},
	}
	for _, tt := range tests {
		page, names := s.children(tt.id, tt.query)
		require.Equal(t, tt.page, page, tt.query)
		require.Equal(t, tt.names, names, tt.query)
	}
	for _, query := range []string{
		"maxItems=0", "maxItems=-1", "skipCount=-1", "maxItems=x", "skipCount=1.5", "where=isFile", "where=" + queryEscape("(isFile=maybe)"),
		"where=" + queryEscape("(nodeType=true)"), "orderBy=size", "orderBy=" + queryEscape("name UP"), "orderBy=,",
	} {
		s.do("GET", "/nodes/"+f+"/children?"+query, "").requireError(t, 400)
	}
	s.do("GET", "/nodes/"+nodeID("f/a")+"/children", "").requireError(t, 400)
	s.do("GET", "/nodes/"+nodeID("g")+"/children", "").requireError(t, 404)
}

func TestChildrenOrders(t *testing.T) {
	s := newDirect(t, Config{}, files{"f/1.txt": "333", "f/2.pdf": "1", "f/3.csv": "22"})
	for i, name := range []string{"f/1.txt", "f/3.csv", "f/2.pdf"} {
		at := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)
		require.NoError(t, os.Chtimes(s.dir+"/"+name, at, at))
	}
	for by, want := range map[string][]string{
		"sizeInBytes": {"2.pdf", "3.csv", "1.txt"},
		"mimeType":    {"2.pdf", "3.csv", "1.txt"},
		"modifiedAt":  {"1.txt", "3.csv", "2.pdf"},
		"createdAt":   {"1.txt", "2.pdf", "3.csv"}, // as they are zipped
	} {
		_, names := s.children(nodeID("f"), "orderBy="+by)
		require.Equal(t, want, names, by)
	}
}

// In the order in which they were added, children come as they do in a zip.
func TestChildrenInTheOrderOfAZip(t *testing.T) {
	s := newServer(t, Config{}, files{"f/b": "", "f/B": "", "f/a/x": "", "f/c/": "", "f/A/": "", "f/é": "", "f/z": ""})
	_, names := s.children(nodeID("f"), "orderBy=createdAt")
	_, b := s.archive("f")
	var zipped []string
	for _, e := range unzip(t, b)[1:] {
		if name := strings.TrimSuffix(strings.TrimPrefix(e.name, "f/"), "/"); !strings.Contains(name, "/") {
			zipped = append(zipped, name)
		}
	}
	require.Equal(t, zipped, names)
}

// No page is longer than a thousand, whatever is asked for.
func TestChildrenPagesAreBounded(t *testing.T) {
	content := files{}
	for i := range 1001 {
		content[fmt.Sprintf("f/%04d", i)] = ""
	}
	s := newDirect(t, Config{}, content)
	page, names := s.children(nodeID("f"), "maxItems=5000")
	require.Equal(t, paginationJSON{1000, true, 1001, 0, 1000}, page)
	page, last := s.children(nodeID("f"), "maxItems=1000&skipCount=1000")
	require.Equal(t, paginationJSON{1, false, 1001, 1000, 1000}, page)
	require.Equal(t, []string{"1000"}, last)
	require.Len(t, names, 1000)
}

// What the user may not read is neither listed nor counted.
func TestChildrenLeaveOutTheUnreadable(t *testing.T) {
	s := newDirect(t, Config{}, files{"User Homes/alice/": "", "User Homes/bob/": ""})
	page, names := s.as("bob").children(nodeID("User Homes"), "")
	require.Equal(t, []string{"bob"}, names)
	require.Equal(t, 1, page.TotalItems)
	_, names = s.children(nodeID("User Homes"), "")
	require.Equal(t, []string{"alice", "bob"}, names)
}

// In lists the bulky parts come only if they are asked for.
func TestChildrenIncludes(t *testing.T) {
	s := newDirect(t, Config{}, files{"f/a": ""})
	var l childList
	require.NoError(t, json.Unmarshal(s.do("GET", "/nodes/"+nodeID("f")+"/children", "").body, &l))
	e := l.List.Entries[0].Entry
	require.Nil(t, e.AspectNames)
	require.Nil(t, e.Properties)
	require.Nil(t, e.Path)
	require.Nil(t, l.List.Source)
	require.Equal(t, nodeID("f"), e.ParentID)
	require.NoError(t, json.Unmarshal(s.do("GET", "/nodes/"+nodeID("f")+"/children?include=path,properties,aspectNames&includeSource=true", "").body, &l))
	e = l.List.Entries[0].Entry
	require.Equal(t, "/Company Home/f", e.Path.Name)
	require.NotNil(t, e.Properties)
	require.NotNil(t, e.AspectNames)
	require.Equal(t, "f", l.List.Source.Name)
}

func BenchmarkChildren(b *testing.B) {
	dir := b.TempDir()
	for i := range 20_000 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, i), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	t := newTree(root)
	for b.Loop() {
		if nodes, err := t.children(""); err != nil || len(nodes) != 20_000 {
			b.Fatal(len(nodes), err)
		}
	}
}
