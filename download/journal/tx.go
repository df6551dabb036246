package journal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Tx is the transaction of one change.
type Tx struct{ tx *bolt.Tx }

// NextSerial returns a serial that this journal never gave out before.
func (t Tx) NextSerial() (uint64, error) { return t.tx.Bucket(bucketMeta).NextSequence() }

// Put stores rec, as JSON, under serial in bucket, replacing what was there.
func (t Tx) Put(bucket Bucket, serial uint64, rec any) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return t.bucket(bucket).Put(serialKey(serial), b)
}

// Delete deletes the record under serial in bucket, if there is one.
func (t Tx) Delete(bucket Bucket, serial uint64) error {
	return t.bucket(bucket).Delete(serialKey(serial))
}

func (t Tx) bucket(b Bucket) *bolt.Bucket { return t.tx.Bucket([]byte(b)) }

func serialKey(serial uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), serial)
}
