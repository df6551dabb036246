package fs

import (
	"errors"
	"sync"

	"downloadfs/download"
)

// sizes tells how large an archive will be at most. Whoever looks around is shown
// that, and some programs then read so much and no more: too large a size costs
// them nothing, since a read ends where the archive does, but one that is too
// small would cut the archive off without a word.
//
// A zip is larger than its content if that cannot be compressed: by 5 bytes in
// each 16 KiB, and for each entry by its headers, which hold its path four times
// (in the local header and in the directory at the end, in each a second time as
// an extra field). The counters are of files; folders have entries, too.
//
// No bound is beyond doubt: a server can have content that grows meanwhile, or a
// million of empty folders, or be asked for more than it zips at once and not have
// counted it yet. So archiveNode knows who was told what, and an archive
// is not opened for those who were told too little, see toldLess.
type sizes struct {
	mu    sync.Mutex
	limit int64 // the most content that the server is known to zip
}

const (
	// serverLimit is how much content an Alfresco server zips by default.
	serverLimit = 2_152_852_358
	// entrySize is for a path of 470 bytes, or for a shorter one with that of a
	// folder.
	entrySize = 2 << 10
	// entriesMore is for some folders more than there are files.
	entriesMore = 1 << 20
	// sizeMost is what a hostile counter is cut to, and limitMost what is believed
	// of a server for its other downloads.
	sizeMost  = 1 << 60
	limitMost = 4 << 40
)

// errToldLess: the archive is larger than its reader was told.
var errToldLess = errors.New("the archive is larger than this program was told while it was pending; run it again")

// learn notes how much the server is seen to zip. What is got in parts, or may be,
// says nothing of that.
func (z *sizes) learn(s download.Snapshot) {
	content := s.TotalBytes
	switch {
	case s.Status == download.StatusTooLarge:
		content = s.BytesAdded // that is the limit
	case s.Status == download.StatusPending, s.Parts.Total > 0:
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.limit = max(z.limit, min(content, limitMost))
}

// bound returns how large the archive of a pending download is at most.
func (z *sizes) bound(s download.Snapshot) int64 {
	if s.Archive.Size > 0 {
		return s.Archive.Size
	}
	content := min(max(s.TotalBytes, s.BytesAdded), sizeMost)
	files := min(max(s.TotalFiles, s.FilesAdded), sizeMost/entrySize)
	if content == 0 && files == 0 {
		z.mu.Lock()
		defer z.mu.Unlock()
		// Nothing is known yet. An eighth is for 130,000 entries.
		content = max(z.limit, serverLimit)
		return content + content>>3
	}
	return content + content>>11 + files*entrySize + entriesMore
}
