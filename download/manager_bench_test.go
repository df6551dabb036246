package download

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download/journal"
)

// pending is a Service on which every download is PENDING.
type pending struct{ Service }

func (pending) Get(_ context.Context, id ID) (Progress, error) {
	return Progress{ID: id, Status: StatusPending}, nil
}

// noArchives are Archives that hold nothing.
type noArchives struct{ Archives }

func (noArchives) Cached(ID) int64  { return 0 }
func (noArchives) Complete(ID) bool { return false }

const many = 10_000

// journalOfMany returns the path of a journal with many downloads.
func journalOfMany(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "journal.db")
	j, err := journal.Open(path, nil)
	require.NoError(b, err)
	require.NoError(b, j.Update(func(tx journal.Tx) error {
		for i := range many {
			serial, err := tx.NextSerial()
			if err != nil {
				return err
			}
			id := fmt.Sprintf("%08x-1111-4111-8111-111111111111", i)
			if err := tx.Put(journal.Nodes, serial, nodesRecord{recordVersion, []NodeID{NodeID(id)}}); err != nil {
				return err
			}
			if err := tx.Put(journal.Downloads, serial, aRecord(id)); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(b, j.Close())
	return path
}

func openMany(b *testing.B, path string) *Manager {
	m, err := Open(Config{Service: pending{}, Archives: noArchives{}, JournalPath: path})
	require.NoError(b, err)
	return m
}

// BenchmarkOpen measures a remount with 10,000 downloads.
func BenchmarkOpen(b *testing.B) {
	path := journalOfMany(b)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, openMany(b, path).Close())
	}
}

// BenchmarkPoll measures one poll among 10,000 downloads, without the request.
func BenchmarkPoll(b *testing.B) {
	m := openMany(b, journalOfMany(b))
	all := m.Downloads()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		m.poll(all[i%many])
		i++
	}
	require.NoError(b, m.Close())
}

// BenchmarkDownloads measures what the manager does when 10,000 downloads are listed.
func BenchmarkDownloads(b *testing.B) {
	m := openMany(b, journalOfMany(b))
	for b.Loop() {
		for _, d := range m.Downloads() {
			d.Snapshot()
		}
	}
	require.NoError(b, m.Close())
}
