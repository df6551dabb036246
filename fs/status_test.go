package fs

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"downloadfs/download"
)

func sampleSnapshot() download.Snapshot {
	return download.Snapshot{
		Progress: download.Progress{
			ID: "d1", Status: download.StatusDone, BytesAdded: 300, TotalBytes: 300, FilesAdded: 2, TotalFiles: 3,
		},
		Name:        "q3-report",
		Ready:       true,
		Archive:     download.ArchiveInfo{ID: "d1", Name: "archive.zip", Size: 1234},
		CachedBytes: 1000,
		CreatedAt:   time.Date(2026, 8, 1, 14, 0, 0, 999, time.FixedZone("", 7200)),
		ChangedAt:   time.Date(2026, 8, 1, 12, 1, 0, 0, time.UTC),
	}
}

func TestStatusYAML(t *testing.T) {
	assert.Equal(t, `id: d1
name: q3-report
status: DONE
bytesAdded: 300
totalBytes: 300
filesAdded: 2
totalFiles: 3
archiveName: archive.zip
archiveSize: 1234
cachedBytes: 1000
createdAt: 2026-08-01T12:00:00Z
changedAt: 2026-08-01T12:01:00Z
`, string(statusYAML(newStatus(sampleSnapshot()))))
}

func TestStatusPendingAndFailed(t *testing.T) {
	s := download.Snapshot{
		Progress: download.Progress{ID: "d1", Status: download.StatusPending},
		Name:     "d1",
		Err:      fmt.Errorf("the zip of d1: %w for 10m: see the server's log", download.ErrStalled),

		NoAnswerSince: time.Date(2026, 8, 1, 12, 2, 0, 0, time.UTC),
	}
	assert.Equal(t, `id: d1
name: d1
status: PENDING
error: 'the zip of d1: no progress for 10m: see the server''s log'
bytesAdded: 0
totalBytes: 0
filesAdded: 0
totalFiles: 0
cachedBytes: 0
noAnswerSince: 2026-08-01T12:02:00Z
`, string(statusYAML(newStatus(s))))
}

// Proves S-224.
func TestStatusOfParts(t *testing.T) {
	s := download.Snapshot{Progress: download.Progress{ID: "d1", Status: download.StatusPending}, Name: "d1"}
	s.Parts.Looked = download.Looked{Folders: 12, Nodes: 3400}
	text := string(statusYAML(newStatus(s)))
	assert.Contains(t, text, "totalFiles: 0\nfoldersWalked: 12\nnodesWalked: 3400\ncachedBytes: 0\n")
	s.Status, s.Parts = download.StatusInProgress, download.PartsProgress{Total: 7, Running: 1}
	text = string(statusYAML(newStatus(s)))
	assert.Contains(t, text, "totalFiles: 0\nparts: 7\npartsDone: 0\npartRunning: 1\ncachedBytes: 0\n")
}

func TestStatusJSON(t *testing.T) {
	var got map[string]any
	require.NoError(t, json.Unmarshal(statusJSON(newStatus(sampleSnapshot())), &got))
	assert.Equal(t, map[string]any{
		"id": "d1", "name": "q3-report", "status": "DONE",
		"bytesAdded": 300.0, "totalBytes": 300.0, "filesAdded": 2.0, "totalFiles": 3.0,
		"archiveName": "archive.zip", "archiveSize": 1234.0, "cachedBytes": 1000.0,
		"createdAt": "2026-08-01T12:00:00Z", "changedAt": "2026-08-01T12:01:00Z",
	}, got)
}

// FuzzStatus: whatever a server calls things, status is one printable line a
// key, and both forms say the same.
func FuzzStatus(f *testing.F) {
	f.Add("archive.zip", "some error")
	f.Add("a\nstatus: DONE\n", "\x1b[2Jred\x1b[31m\r\x00")
	f.Add("\xff\xfe", "- a: [b]")
	f.Add("null", "12")
	f.Add("\u202etxt.exe", strings.Repeat("word ", 500))
	f.Add(strings.Repeat("x", 1<<20), "")
	f.Fuzz(func(t *testing.T, name, reason string) {
		s := sampleSnapshot()
		s.Archive.Name, s.Err = name, errors.New(reason)
		text := string(statusYAML(newStatus(s)))
		for _, r := range text {
			require.True(t, r == '\n' || r >= ' ' && r != 0x7f && r != 0x202e, "%q", text)
		}
		for line := range strings.Lines(text) {
			require.Regexp(t, `^[a-zA-Z]+: .+\n$`, line)
		}
		var y, j map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &y))
		require.NoError(t, json.Unmarshal(statusJSON(newStatus(s)), &j))
		require.Equal(t, j["archiveName"], y["archiveName"])
		require.Equal(t, j["error"], y["error"])
	})
}

// Opening a status counts as a look, so the next one is up to date. Listing the
// directory does not.
func TestStatusIsLookedAt(t *testing.T) {
	d := newFakeDomain()
	it := d.add("d1", nil)
	for _, k := range []kind{kindStatus, kindStatusJSON} {
		it.looks = 0
		n := newStatusNode(newFilesystem(Config{}, d), it, k)
		n.attributes()
		assert.Zero(t, it.looks)
		_, _, errno := n.Open(t.Context(), 0)
		assert.Zero(t, errno)
		assert.Equal(t, 1, it.looks)
	}
}
