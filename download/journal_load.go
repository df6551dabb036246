package download

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// journalContent is all that a journal holds, oldest first.
type journalContent struct {
	downloads []storedDownload
	removals  []storedRemoval
}

type storedDownload struct {
	serial uint64
	record downloadRecord
	nodes  []NodeID
}

type storedRemoval struct {
	serial uint64
	record removalRecord
}

// load reads everything. What is damaged is set aside in its own bucket, so that
// it neither stops the rest nor is lost. After an error the journal is closed.
func (j *journal) load() (journalContent, error) {
	l := loader{log: j.log, ids: make(map[ID]bool), names: make(map[string]bool)}
	err := contain(func() error { return j.db.View(l.load) })
	if err != nil {
		j.stopWriter()
		return journalContent{}, j.explain(err)
	}
	if err := j.update(l.mend); err != nil { // a full disk must not stop the mount
		j.log.Warn("journal cannot be mended", "op", "journal", "err", err)
	}
	return l.content, nil
}

// loader reads a journal.
type loader struct {
	log     *slog.Logger
	content journalContent
	ids     map[ID]bool
	names   map[string]bool
	highest uint64
	damage  []damage
}

type damage struct{ bucket, key []byte }

func (l *loader) load(tx *bolt.Tx) error {
	nodes := make(map[uint64][]NodeID)
	l.each(tx, bucketNodes, func(serial uint64, v []byte) error {
		list, err := decodeNodes(v)
		nodes[serial] = list
		return err
	})
	l.each(tx, bucketDownloads, func(serial uint64, v []byte) error {
		return l.download(serial, v, nodes[serial])
	})
	l.each(tx, bucketRemovals, l.removal)
	return nil
}

func (l *loader) each(tx *bolt.Tx, bucket []byte, decode func(serial uint64, v []byte) error) {
	c := tx.Bucket(bucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		err := errors.New("key is no serial")
		if len(k) == 8 && binary.BigEndian.Uint64(k) != 0 {
			serial := binary.BigEndian.Uint64(k)
			l.highest = max(l.highest, serial)
			err = decode(serial, v)
		}
		if err != nil {
			l.log.Error("journal record is damaged and set aside", "op", "journal",
				"bucket", string(bucket), "key", fmt.Sprintf("%x", k), "err", err)
			l.damage = append(l.damage, damage{bucket, bytes.Clone(k)})
		}
	}
}

func (l *loader) download(serial uint64, v []byte, nodes []NodeID) error {
	rec, err := decodeDownload(v)
	if err != nil {
		return err
	}
	if l.ids[rec.ID] {
		return fmt.Errorf("download %s is there twice", rec.ID)
	}
	if rec.Name != "" && l.names[rec.Name] {
		l.log.Warn("name is taken, using the id", "op", "journal", "download", rec.ID)
		rec.Name = ""
	}
	l.ids[rec.ID], l.names[rec.Name] = true, true
	l.content.downloads = append(l.content.downloads, storedDownload{serial, rec, nodes})
	return nil
}

func (l *loader) removal(serial uint64, v []byte) error {
	rec, err := decodeRemoval(v)
	if err != nil {
		return err
	}
	if rec.Delete && l.ids[rec.ID] {
		return fmt.Errorf("download %s is both listed and removed", rec.ID)
	}
	l.content.removals = append(l.content.removals, storedRemoval{serial, rec})
	return nil
}

// mend moves the damaged records away and sees to it that the serial of one
// that cannot be read is not given out again.
func (l *loader) mend(tx *bolt.Tx) error {
	for _, d := range l.damage {
		from := tx.Bucket(d.bucket)
		value := from.Get(d.key)
		if value == nil {
			continue // a bucket where a record should be: leave it
		}
		key := slices.Concat(d.bucket, []byte("/"), d.key)
		if err := tx.Bucket(bucketDamaged).Put(key, bytes.Clone(value)); err != nil {
			return err
		}
		if err := from.Delete(d.key); err != nil {
			return err
		}
	}
	if meta := tx.Bucket(bucketMeta); meta.Sequence() < l.highest {
		return meta.SetSequence(l.highest)
	}
	return nil
}
