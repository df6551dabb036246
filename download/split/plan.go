package split

import "time"

// Kind is the kind of a piece.
type Kind string

const (
	// Part is a zip that the server makes of some nodes.
	Part Kind = "part"
	// Folder is the entry of a folder whose children are in pieces of their own.
	Folder Kind = "folder"
	// File is a file that no zip of the server can hold.
	File Kind = "file"
)

// Piece is a run of entries of the one zip.
type Piece struct {
	Kind Kind
	// Path is the path of a Folder or File in the zip, without a slash at its end. The
	// Path of a Part goes in front of all its entries; it is empty or ends in a slash.
	Path string
	// Nodes are the ids to ask for to get a Part or a File.
	Nodes    []string
	Bytes    int64 // of content
	Files    int64
	Modified time.Time // of a Folder or File
}

// Plan cuts trees into pieces, in order. The trees must have been walked with the same
// limits.
func Plan(trees []Tree, limits Limits) []Piece {
	if limits.Nodes == 0 {
		limits.Nodes = DefaultNodes
	}
	p := planner{limits: limits}
	p.siblings("", trees)
	return p.pieces
}

type planner struct {
	limits Limits
	pieces []Piece
}

// siblings plans the nodes in one folder, whose path ends in a slash.
func (p *planner) siblings(path string, nodes []Tree) {
	part := Piece{Kind: Part, Path: path}
	end := func() {
		if len(part.Nodes) > 0 {
			p.pieces = append(p.pieces, part)
		}
		part = Piece{Kind: Part, Path: path}
	}
	for i := range nodes {
		n := &nodes[i]
		if p.limits.fits(n) {
			if part.Bytes+n.Bytes > p.limits.Part || len(part.Nodes) == p.limits.Nodes {
				end()
			}
			part.Nodes = append(part.Nodes, n.ID)
			part.Bytes, part.Files = part.Bytes+n.Bytes, part.Files+n.Files
			continue
		}
		end()
		if !n.Folder {
			p.pieces = append(p.pieces, Piece{Kind: File, Path: path + n.Name, Nodes: []string{n.ID},
				Bytes: n.Bytes, Files: 1, Modified: n.Modified})
			continue
		}
		p.pieces = append(p.pieces, Piece{Kind: Folder, Path: path + n.Name, Modified: n.Modified})
		p.siblings(path+n.Name+"/", n.Children)
	}
	end()
}
