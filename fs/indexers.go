package fs

import (
	"context"
	"slices"
)

// indexers are programs that read every file they come across, by the names that
// Linux keeps of them (15 bytes): thumbnailers of the desktops, and indexers of
// files. While an archive is not whole in the cache they would fetch it file by
// file, which nobody asked for.
var indexers = []string{
	// Thumbnailers: Thunar's and others', GNOME's, KDE's.
	"tumblerd", "gdk-pixbuf-thum", "gnome-thumbnail", "glycin-thumbnai", "totem-video-thu", "evince-thumbnai",
	"papers-thumbnai", "gnome-font-thum", "ffmpegthumbnail", "gsf-office-thum", "kio_thumbnail", "thumbnail.so",
	// Indexers: GNOME's under its names, KDE's, others.
	"localsearch-3", "localsearch-ext", "tracker-miner-f", "tracker-extract", "tracker-miner-m", "baloo_file", "baloo_file_extr",
	"recollindex", "updatedb", "updatedb.mlocat", "updatedb.plocat", "zeitgeist-daemo", "mdworker", "mdworker_shared", "mds", "quicklookd",
}

// indexing reports whether the caller is one of those, by its own name or by that
// of its process.
func (f *filesystem) indexing(ctx context.Context) bool {
	pid := callerPID(ctx)
	return slices.Contains(indexers, f.callers.name(pid)) ||
		slices.Contains(indexers, f.callers.name(f.callers.tgid(pid)))
}
