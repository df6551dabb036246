// Package share lets the mounts of one account on many machines use one store, so that
// an archive is fetched from the content server once. It stands between the cache and
// the content server: it wraps a [download.Source] and a [download.Service]. It is
// neither a cache nor a file system, and it knows no HTTP.
//
// # Trust
//
// Without a [Key], whoever may read the store may read the archives in it, and whoever
// may write to it may give its readers other bytes: the checksums are against damage,
// not against a forger. With one, only those who have it can do either. No password and
// no ticket is ever written there.
//
// # In the store
//
// Every object is written once, whole, and only if nobody has written it before (see
// [Store.Create]). So two mounts can never overwrite each other, and no reader can see
// one half old and one half new. Below a prefix for each account there are:
//
//	format            how all others are written: encrypted or not
//	archive/ID/p-N    up to 16 blocks of an archive, behind a header with their checksums
//	archive/ID/done   what the archive is; written when all its pieces are there
//	list/N            record N of the list of downloads
//	snap/N            the list after record N
//	nodes/ID          the nodes of a download that has many
//	lease/ID/N        who fetches the archive; link N of a chain
//	clock/MOUNT       written to learn the store's time, then removed
//
// # Guarantees
//
// A block is checked against its sum before a reader sees a byte of it. Anything that
// is wrong with the store, slow or gone, damaged, truncated or swapped, makes a mount
// read from the content server instead. It costs time and nothing else.
//
// One mount at a time holds the lease of an archive and fetches it from the content
// server. The others read its pieces as they come. Whoever loses a race for a lease
// fetches once too often: leases save work, and correctness does not hang on them.
//
// What is encrypted with another key is not damaged. It is never deleted, and the account
// it belongs to is not used.
package share
