package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/download"
)

func ready(name string) download.Snapshot {
	return download.Snapshot{Name: name, Ready: true, Archive: download.ArchiveInfo{Name: "r\x1b.zip", Size: 12_300_000}}
}

func failed(name string) download.Snapshot {
	return download.Snapshot{Name: name, Err: errors.New("the server has deleted it\nask again")}
}

// A few are told one by one, many by one notification.
// Proves S-198.
func TestNotes(t *testing.T) {
	assert.Equal(t, []note{
		{title: "Download ready: q3", text: "r?.zip, 12 MB, is in /m\uFFFD/downloads/q3"},
		{title: "Download failed: a?b", text: "the server has deleted it?ask again", failed: true},
	}, notes([]download.Snapshot{ready("q3"), failed("a\tb")}, "/m\xff"))

	a, b := ready("a"), failed("b")
	for _, c := range []struct {
		all  []download.Snapshot
		want string
		bad  bool
	}{
		{[]download.Snapshot{a, a, a, a}, "4 downloads are ready", false},
		{[]download.Snapshot{b, b, b, b}, "4 downloads failed", true},
		{[]download.Snapshot{b, a, b, b}, "1 download is ready, 3 downloads failed", true},
		{[]download.Snapshot{a, a, b, a}, "3 downloads are ready, 1 download failed", true},
	} {
		assert.Equal(t, []note{{title: c.want, text: "They are in /m/downloads", failed: c.bad}}, notes(c.all, "/m"))
	}
}

// What nobody takes does not pile up, and a busy desktop stops nobody.
func TestNotifierIsBounded(t *testing.T) {
	n := &notifier{ended: make(chan download.Snapshot, 2)}
	for range 10 {
		n.tell(ready("x"))
	}
	assert.Len(t, n.ended, 2)
}
