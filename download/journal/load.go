package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Load reads everything: all Nodes, then all Plans, Downloads, Removals and Parts, each
// by serial. A record for which take returns an error is damaged: Load logs it and sets
// it aside, so that it neither stops the rest nor is lost. If Load itself fails, it
// closes the journal.
func (j *Journal) Load(take func(bucket Bucket, serial uint64, record []byte) error) error {
	l := loader{j: j, take: take}
	err := contain(func() error { return j.db.View(l.load) })
	if err != nil {
		j.stopWriter()
		return j.explain(err)
	}
	if err := j.Update(l.mend); err != nil { // a full disk must not stop the mount
		j.log.Warn("the journal cannot be mended", "op", "journal", "err", err)
	}
	return nil
}

// loader reads a journal.
type loader struct {
	j       *Journal
	take    func(bucket Bucket, serial uint64, record []byte) error
	highest uint64
	damage  []damage
}

type damage struct {
	bucket Bucket
	key    []byte
}

func (l *loader) load(tx *bolt.Tx) error {
	for _, bucket := range buckets {
		l.each(tx, bucket)
	}
	return nil
}

func (l *loader) each(tx *bolt.Tx, bucket Bucket) {
	c := Tx{tx}.bucket(bucket).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		err := errors.New("the key is not a serial number")
		if len(k) == 8 && binary.BigEndian.Uint64(k) != 0 {
			serial := binary.BigEndian.Uint64(k)
			l.highest = max(l.highest, serial)
			err = l.take(bucket, serial, v)
		}
		if err != nil {
			l.j.log.Error("a damaged record of the journal is set aside", "op", "journal",
				"bucket", string(bucket), "key", fmt.Sprintf("%x", k), "err", err)
			l.damage = append(l.damage, damage{bucket, bytes.Clone(k)})
		}
	}
}

// mend moves the damaged records away. It makes sure that the serial of a record that
// cannot be read is not given out again.
func (l *loader) mend(t Tx) error {
	for _, d := range l.damage {
		from := t.bucket(d.bucket)
		value := from.Get(d.key)
		if value == nil {
			continue // a bucket where a record should be: leave it
		}
		key := slices.Concat([]byte(d.bucket), []byte("/"), d.key)
		if err := t.tx.Bucket(bucketDamaged).Put(key, bytes.Clone(value)); err != nil {
			return err
		}
		if err := from.Delete(d.key); err != nil {
			return err
		}
	}
	if meta := t.tx.Bucket(bucketMeta); meta.Sequence() < l.highest {
		return meta.SetSequence(l.highest)
	}
	return nil
}

// Decode decodes one JSON value of at most limit bytes and nothing more. It is strict:
// anything that this version would not have written is damage, and a damaged record
// must not become a path, a size or a request.
func Decode(b []byte, limit int, into any) error {
	if len(b) > limit {
		return fmt.Errorf("the record has %d bytes; the limit is %d", len(b), limit)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("the record is not JSON that downloadfs writes: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the record has bytes after its end")
	}
	return nil
}
