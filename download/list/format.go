package list

import "downloadfs/download"

// Format writes nodes as a list, one a line, that Parser reads as the same nodes:
// the ids that are no UUIDs, as templates and imported nodes have them, as
// NodeRefs. A word alone could be anything.
func Format(nodes []download.NodeID) []byte {
	var text []byte
	for _, n := range nodes {
		if !isUUID(string(n.Bare())) {
			text = append(text, nodeRefStore...)
		}
		text = append(append(text, n...), '\n')
	}
	return text
}
