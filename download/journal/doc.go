// Package journal is the storage that survives a mount: records under serial
// numbers in one file, of which a change is on disk when [Journal.Update] returns.
//
// It knows nothing of downloads: records are JSON objects, and whoever loads them
// says which are damaged. What is damaged is set aside in the same file and costs
// no other record. The file is a bbolt database: crash-safe, one process at a time,
// and readable after a write that a power cut tore.
package journal
