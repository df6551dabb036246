// Package journal is the storage that survives a mount: records under serial numbers in
// one file. When [Journal.Update] returns, its transaction is synced to disk. Before the
// close of a request list returns, one transaction is synced and nothing else: the
// download's record and its nodes.
//
// It knows nothing of downloads: records are JSON objects, and the caller of Load says
// which are damaged. Damaged records are set aside in the same file and cost no other
// record. The file is a bbolt database: crash-safe, for one process at a time, and
// readable after a power cut that tore a write.
package journal
