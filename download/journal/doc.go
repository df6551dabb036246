// Package journal is the storage that survives a mount: records under serial numbers in
// one file. A change is on disk when [Journal.Update] returns.
//
// It knows nothing of downloads: records are JSON objects, and the caller of Load says
// which are damaged. Damaged records are set aside in the same file and cost no other
// record. The file is a bbolt database: crash-safe, for one process at a time, and
// readable after a power cut that tore a write.
package journal
