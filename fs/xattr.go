package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// withoutXattrs answers the first question for an extended attribute with ENOSYS.
// Linux takes it as said of the whole mount, tells callers EOPNOTSUPP from then on,
// and asks no more. ls -l asks for two attributes of each file it lists.
//
// macOS would keep the attributes in files of its own beside the others.
type withoutXattrs struct{ fuse.RawFileSystem }

func (withoutXattrs) GetXAttr(<-chan struct{}, *fuse.InHeader, string, []byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

func (withoutXattrs) ListXAttr(<-chan struct{}, *fuse.InHeader, []byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}
