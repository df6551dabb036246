package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
)

// Check looks whether a zip is whole: that its directory can be read, and that each
// entry is where the directory says, under the name that it says, ahead of the next
// one and of the directory. It returns how many files there are and how many bytes
// they have, unpacked. What the bytes are is not looked at: who unpacks them does.
func Check(ctx context.Context, src Source, size int64) (files, unpacked int64, err error) {
	var end int64
	room := make([]byte, localLen)
	err = eachRecord(ctx, src, size, func(rec *record, base int64) error {
		header := rec.header + base
		b := room[:localLen]
		if header < end {
			return damagedf("the entry at %d begins before the one in front of it has ended", header)
		}
		if err := readFull(ctx, src, b, header); err != nil {
			return err
		}
		le := binary.LittleEndian
		nameLen, extraLen := int(le.Uint16(b[26:])), int64(le.Uint16(b[28:]))
		if !bytes.HasPrefix(b, localSignature) || nameLen != len(rec.name) || le.Uint16(b[8:]) != rec.method {
			return damagedf("the entry at %d is not what the directory says", header)
		}
		if cap(room) < nameLen {
			room = make([]byte, nameLen)
		}
		name := room[:nameLen]
		if err := readFull(ctx, src, name, header+localLen); err != nil {
			return err
		}
		if !bytes.Equal(name, rec.name) {
			return damagedf("the entry at %d has another name than in the directory", header)
		}
		if end = header + localLen + int64(nameLen) + extraLen + rec.packed; end > size {
			return damagedf("the entry at %d goes beyond the end", header)
		}
		unpacked += rec.size
		if !isFolder(rec.name) {
			files++
		}
		return nil
	})
	return files, unpacked, err
}
