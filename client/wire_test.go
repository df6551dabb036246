package client

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestDecodeDownload(t *testing.T) {
	p, f := decodeDownload([]byte(`{"entry":{"id":"` + testID + `","status":"IN_PROGRESS","bytesAdded":10,"totalBytes":20,"filesAdded":1,"totalFiles":2,"new":{"x":[]}}}`))
	require.Nil(t, f)
	require.Equal(t, download.Progress{ID: testID, Status: download.StatusInProgress, BytesAdded: 10, TotalBytes: 20, FilesAdded: 1, TotalFiles: 2}, p)

	p, f = decodeDownload([]byte(`{"entry":{"id":"a","status":"A_WORD_OF_TOMORROW"}}`))
	require.Nil(t, f)
	require.Equal(t, download.Status("A_WORD_OF_TOMORROW"), p.Status)
	require.False(t, p.Status.Ended())
}

// Proves S-75.
func TestDecodeDownloadRefuses(t *testing.T) {
	good := map[string]any{"id": testID, "status": "DONE", "bytesAdded": 1, "totalBytes": 1, "filesAdded": 1, "totalFiles": 1}
	for key, values := range map[string][]any{
		"id":         {"", nil, 5, "../../etc", "a/b", "new", ".", "..", "-rf", "a\nb", "a\x00", strings.Repeat("x", 1<<20), "ü"},
		"status":     {"", nil, 5, "done", "DONE\n", "DONE DONE", strings.Repeat("X", 41), "DONE\x1b[2J"},
		"bytesAdded": {1.5, "1", 1e300, true},
		"totalBytes": {json.Number("9223372036854775808")},
		"filesAdded": {true}, "totalFiles": {[]int{}},
	} {
		for _, value := range values {
			if value == nil {
				continue
			}
			entry := map[string]any{}
			for k, v := range good {
				entry[k] = v
			}
			entry[key] = value
			body, err := json.Marshal(map[string]any{"entry": entry})
			require.NoError(t, err)
			_, f := decodeDownload(body)
			require.NotNil(t, f, "%s %v", key, value)
			require.ErrorIs(t, f, download.ErrProtocol)
		}
	}
	for _, body := range []string{"", "null", "[]", "{}", `{"entry":null}`, `{"entry":[]}`, `{"entry":{}}`, `{"list":{}}`, "<html>", `{"entry":{"id":"a"`, "\x00\xff"} {
		_, f := decodeDownload([]byte(body))
		require.ErrorIs(t, f, download.ErrProtocol, body)
	}
}

func TestDecodeArchive(t *testing.T) {
	a, f := decodeArchive("d1", []byte(`{"entry":{"id":"d1","name":"report.pdf.zip","modifiedAt":"2026-08-01T10:11:12.345+0000","content":{"sizeInBytes":22,"mimeType":"application/octet-stream"}}}`))
	require.Nil(t, f)
	require.Equal(t, "report.pdf.zip", a.Name)
	require.Equal(t, int64(22), a.Size)
	require.True(t, a.ModifiedAt.Equal(time.Date(2026, 8, 1, 10, 11, 12, 345e6, time.UTC)))

	for body, want := range map[string]error{
		`{"entry":{"id":"d2","name":"x","content":{"sizeInBytes":22}}}`: download.ErrProtocol,
		`{"entry":{"id":"d1","name":"x","content":{"sizeInBytes":-1}}}`: download.ErrProtocol,
		`{"entry":{"id":"d1","name":"x","content":{}}}`:                 download.ErrNotReady,
		`{"entry":{"id":"d1","name":"x"}}`:                              download.ErrNotReady,
		`{}`:                                                            download.ErrProtocol,
	} {
		_, f := decodeArchive("d1", []byte(body))
		require.ErrorIs(t, f, want, body)
	}
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	for _, s := range []string{"2026-08-01T10:00:00.000+0000", "2026-08-01T12:00:00.000+0200", "2026-08-01T10:00:00Z", "2026-08-01T12:00:00+02:00", "2026-08-01T10:00:00+0000"} {
		require.True(t, parseTime(s).Equal(want), s)
	}
	for _, s := range []string{"", "yesterday", "2026-08-01"} {
		require.True(t, parseTime(s).IsZero(), s)
	}
}

func TestDecodeTicket(t *testing.T) {
	ticket, f := decodeTicket([]byte(`{"entry":{"id":"TICKET_5f2c","userId":"admin"}}`))
	require.Nil(t, f)
	require.Equal(t, "TICKET_5f2c", ticket)
	for _, id := range []string{"", "5f2c", "TICKET_", "TICKET_a b", "TICKET_a\r\nX: y", "TICKET_" + strings.Repeat("x", 257)} {
		body, _ := json.Marshal(map[string]any{"entry": map[string]string{"id": id}})
		_, f := decodeTicket(body)
		require.ErrorIs(t, f, download.ErrProtocol, "%.40q", id)
	}
}

// FuzzDecode gives every decoder the same bytes. None may panic, and a value that a
// decoder accepts must be safe to use.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"entry":{"id":"a","status":"DONE","bytesAdded":1,"totalBytes":1,"filesAdded":1,"totalFiles":1}}`,
		`{"entry":{"id":"a","name":"../x","modifiedAt":"2026-08-01T10:00:00.000+0000","content":{"sizeInBytes":5}}}`,
		`{"entry":{"id":"TICKET_1"}}`,
		`{"error":{"errorKey":"x","statusCode":404,"briefSummary":"07010203 The entity with id: x was not found"}}`,
		`{"entry":{"id":"../../etc","status":"new"}}`, `<html>`, `{"entry":{"ID":"b","id":"a","Status":"DONE"}}`,
	} {
		f.Add([]byte(s))
	}
	clean := newScrubber("admin", "pa55word!").clean
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, f := decodeDownload(body); f == nil {
			_, err := download.ParseID(string(p.ID))
			require.NoError(t, err)
			require.Regexp(t, `^[A-Z_]{1,40}$`, string(p.Status))
		}
		if id, f := decodeNode(body); f == nil {
			_, err := download.ParseID(string(id))
			require.NoError(t, err)
		}
		if a, f := decodeArchive("a", body); f == nil {
			require.GreaterOrEqual(t, a.Size, int64(0))
		}
		if ticket, f := decodeTicket(body); f == nil {
			require.NotContains(t, ticket, "\n")
		}
		text, _ := summary(body)
		text = clean(text)
		require.LessOrEqual(t, len(text), maxTextLen+len("…"))
		require.NotContains(t, text, "\n")
	})
}
