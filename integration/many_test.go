package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestManyDownloads: 500 downloads asked for by 16 processes at once are made
// once each, and every archive holds its own file.
// Proves S-19.
func TestManyDownloads(t *testing.T) {
	t.Parallel()
	const n = 500
	dir := harness.Dir(t, harness.User{})
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("file-%d.txt", i)] = fmt.Sprintf("this is file %d\n", i)
	}
	harness.Tree(t, dir, files)
	server := harness.StartServer(t, dir)
	m := harness.StartMount(t, server, harness.MountOptions{LogLevel: "info"})

	wide := 3 * time.Minute
	create := m.Cmd(fmt.Sprintf(`seq 0 %d | xargs -P 16 -I{} sh -c 'echo /file-{}.txt > new'`, n-1))
	create.Timeout = wide
	create.Run(t).OK(t)
	ids := strings.Fields(strings.ReplaceAll(m.Sh(t, "ls").Out(t), "new", ""))
	require.Len(t, ids, n)

	extract := m.Cmd(`ls | grep -v '^new$' | xargs -P 16 -I{} unzip -p {}/archive.zip`)
	extract.Timeout = wide
	var want []string
	for _, content := range files {
		want = append(want, strings.TrimSpace(content))
	}
	assert.ElementsMatch(t, want, strings.Split(extract.Run(t).Out(t), "\n"))

	remove := m.Cmd(`ls | grep -v '^new$' | xargs -P 16 rm -r`)
	remove.Timeout = wide
	remove.Run(t).OK(t)
	assert.Equal(t, "new", m.Sh(t, "ls").Out(t))
	harness.Eventually(t, wide, func() bool { return server.Status(t, ids[0]) == "" && server.Status(t, ids[n-1]) == "" },
		"the downloads are still on the server")
}

// TestManyReaders: 200 readers of one pending archive all get the same bytes,
// which the server sends once.
// Proves S-19.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	const n = 200
	server := slow(t)
	m := harness.StartMount(t, server, harness.MountOptions{LogLevel: "info"})
	id := submit(t, m, "Sites/press/documentLibrary/photos")
	readers := m.Cmd(fmt.Sprintf(`for i in $(seq %d); do md5sum < %s/archive.zip & done; wait`, n, id))
	readers.Timeout = 2 * time.Minute
	sums := strings.Split(readers.Run(t).Out(t), "\n")
	require.Len(t, sums, n)
	sent := server.Stats(t)["contentBytes"]
	want := archiveMD5(t, server, id) + "  -"
	for _, sum := range sums {
		require.Equal(t, want, sum)
	}
	code, body := server.Core(t, "GET", "/nodes/"+id, nil)
	require.Equal(t, http.StatusOK, code)
	var node struct {
		Entry struct{ Content struct{ SizeInBytes float64 } }
	}
	require.NoError(t, json.Unmarshal(body, &node))
	assert.Equal(t, node.Entry.Content.SizeInBytes, sent, "bytes that the server sent")
}
