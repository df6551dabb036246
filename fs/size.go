package fs

import (
	"errors"
	"sync"

	"downloadfs/download"
)

// sizes knows how large an archive will be at most. Callers that browse are shown
// that size, and some programs then read that much and no more. Too large a size
// costs them nothing, because a read ends where the archive does. Too small a size
// would silently cut the archive off.
//
// A zip is larger than its content if the content cannot be compressed: by 5 bytes in
// each 16 KiB, and by the headers of each entry. The headers hold the entry's path
// four times: in the local header and in the directory at the end, and in each a
// second time as an extra field. The counters count files, but folders have entries
// too.
//
// No bound is certain. A server can have content that grows meanwhile, or a million
// empty folders. It can be asked for more than it zips at once before it has counted.
// So archiveNode remembers which size each caller was told, and does not open an
// archive for callers that were told too little; see toldLess.
type sizes struct {
	mu    sync.Mutex
	limit int64 // the most content that the server is known to zip
}

const (
	// serverLimit is how much content an Alfresco server zips by default.
	serverLimit = 2_152_852_358
	// entrySize allows for a path of 470 bytes, or for a shorter path and a folder's
	// path.
	entrySize = 2 << 10
	// entriesMore allows for some more folders than files.
	entriesMore = 1 << 20
	// sizeMost is the limit for a hostile counter. limitMost bounds what one download
	// makes us expect of the server's other downloads.
	sizeMost  = 1 << 60
	limitMost = 4 << 40
)

// errToldLess: the archive is larger than the size its reader was told.
var errToldLess = errors.New("the archive is larger than this program was told while it was pending; run it again")

// learn notes how much the server is seen to zip. A download in parts, or one that
// may come in parts, says nothing about that.
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

// bound returns how large the archive of a pending download can be at most.
func (z *sizes) bound(s download.Snapshot) int64 {
	if s.Archive.Size > 0 {
		return s.Archive.Size
	}
	content := min(max(s.TotalBytes, s.BytesAdded), sizeMost)
	files := min(max(s.TotalFiles, s.FilesAdded), sizeMost/entrySize)
	if content == 0 && files == 0 {
		z.mu.Lock()
		defer z.mu.Unlock()
		// Nothing is known yet. An eighth is enough for 130,000 entries.
		content = max(z.limit, serverLimit)
		return content + content>>3
	}
	return content + content>>11 + files*entrySize + entriesMore
}
