package fs

import (
	"context"
	"slices"
)

// indexers are programs that read every file they find: thumbnailers of the desktops
// and indexers of files. They are listed by the names that Linux keeps (15 bytes). If
// an archive is not whole in the cache, they would fetch it file by file, which
// nobody asked for.
var indexers = []string{
	// These are thumbnailers: Thunar's and others', GNOME's, KDE's.
	"tumblerd", "gdk-pixbuf-thum", "gnome-thumbnail", "glycin-thumbnai", "totem-video-thu", "evince-thumbnai",
	"papers-thumbnai", "gnome-font-thum", "ffmpegthumbnail", "gsf-office-thum", "kio_thumbnail", "thumbnail.so",
	// These are indexers: GNOME's under its names, KDE's, others.
	"localsearch-3", "localsearch-ext", "tracker-miner-f", "tracker-extract", "tracker-miner-m", "baloo_file", "baloo_file_extr",
	"recollindex", "updatedb", "updatedb.mlocat", "updatedb.plocat", "zeitgeist-daemo", "mdworker", "mdworker_shared", "mds", "quicklookd",
}

// indexing reports whether the caller is one of the indexers, by its own name or by
// its process's.
func (f *filesystem) indexing(ctx context.Context) bool {
	pid := callerPID(ctx)
	name, tgid := f.callers.identity(pid)
	if slices.Contains(indexers, name) {
		return true
	}
	return tgid != pid && slices.Contains(indexers, f.callers.name(tgid))
}
