package list

import "downloadfs/download"

// Format writes nodes as a list, one per line, that Parser reads as the same nodes. Ids
// that are not UUIDs, as templates and imported nodes have them, become NodeRefs: a
// word alone could be anything.
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
