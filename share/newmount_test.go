package share

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
	"downloadfs/download/downloadtest"
)

// writeList writes a list of n downloads, in records of 100, with idle records that change
// nothing after each.
func writeList(t testing.TB, store Store, key *Key, n, idle int) {
	t.Helper()
	s := Open(Config{Store: store, Account: Account("test"), Key: key})
	log := newRollLog(s)
	for i := 0; i < n; i += 100 {
		_, err := log.write(t.Context(), func(r *roll) *record {
			if len(r.Entries) > i {
				return nil
			}
			rec := &record{}
			for k := range 100 {
				id := download.ID(fmt.Sprintf("%08d-aaaa-aaaa-aaaa-aaaaaaaaaaaa", i+k))
				rec.Changes = append(rec.Changes, change{Op: opAdd, ID: id, At: time.Now(), Name: fmt.Sprintf("name %d", i+k),
					Nodes: []download.NodeID{download.NodeID(fmt.Sprintf("%08d-1111-1111-1111-111111111111", i+k))},
					State: &state{Status: download.StatusDone, Archive: &archiveState{Name: "a.zip", Size: 100}}})
			}
			return rec
		})
		require.NoError(t, err)
		for range idle {
			_, err := log.write(t.Context(), func(*roll) *record { return &record{} })
			require.NoError(t, err)
		}
	}
}

// TestNewMountListsTenThousand: a new mount shows 10,000 downloads of a directory on
// disk, and has them in its journal, within seconds. docs/share.md has the time on a
// quiet machine.
// Proves S-225.
func TestNewMountListsTenThousand(t *testing.T) {
	n := manyListed
	for name, key := range map[string]*Key{"plain": nil, "encrypted": newKey(t)} {
		dir := filepath.Join(t.TempDir(), "share")
		writeList(t, openDir(t, dir), key, n, 1)
		began := time.Now()
		m := newMachine(t, downloadtest.NewService(), openDir(t, dir), func(m *machine) { m.key = key })
		<-m.share.Synced()
		took := time.Since(began)
		t.Logf("%s: %d downloads of others are listed after %v", name, n, took.Round(time.Millisecond))
		assert.Len(t, m.manager.Downloads(), n)
		assert.Less(t, took, 30*time.Second, name)
	}
}
