package list

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Parser reads what Format writes.
// Proves S-125.
func TestFormat(t *testing.T) {
	nodes := []download.NodeID{
		"3c9b7d1e-55ab-4b1c-9a64-0f8d0f1f2a77", "3C9B7D1E-55AB-4B1C-9A64-0F8D0F1F2A78;1.0", "wf-email-html-ftl", "a", "x.y_z-0;12",
		"3c9b7d1e-55ab-4b1c-9a64-0f8d0f1f2a7",
	}
	text := Format(nodes)
	assert.Contains(t, string(text), "\nworkspace://SpacesStore/wf-email-html-ftl\n")
	var p Parser
	_, err := p.Write(text)
	require.NoError(t, err)
	l, err := p.Finish()
	require.NoError(t, err)
	var got []download.NodeID
	for _, e := range l.Entries {
		got = append(got, e.Node)
	}
	assert.Equal(t, nodes, got)
	assert.Empty(t, Format(nil))
}

// Parser reads every id that can be in a download as Format writes it.
// Proves S-125.
func FuzzFormat(f *testing.F) {
	f.Add("wf-email-html-ftl")
	f.Add("3c9b7d1e-55ab-4b1c-9a64-0f8d0f1f2a77;2.1")
	f.Fuzz(func(t *testing.T, s string) {
		if !download.NodeID(s).Valid() {
			return
		}
		var p Parser
		_, err := p.Write(Format([]download.NodeID{download.NodeID(s)}))
		require.NoError(t, err)
		l, err := p.Finish()
		require.NoError(t, err)
		require.Equal(t, []download.Entry{{Node: download.NodeID(s)}}, l.Entries)
	})
}
