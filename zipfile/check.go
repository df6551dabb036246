package zipfile

import (
	"bytes"
	"context"
	"encoding/binary"
)

// Check reports whether a zip is whole. Its directory must be readable. Each entry
// must be where the directory says, under the name that it says, ahead of the next
// entry and of the directory. Check returns the number of files and their total
// unpacked size. It does not check the files' bytes: unpacking does.
func Check(ctx context.Context, src Source, size int64) (files, unpacked int64, err error) {
	var end int64
	room := make([]byte, localLen)
	err = eachRecord(ctx, src, size, func(rec *record, base int64) error {
		header := rec.header + base
		b := room[:localLen]
		if header < end {
			return damagedf("the entry at %d overlaps the entry before it", header)
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
			return damagedf("the name of the entry at %d differs from the one in the directory", header)
		}
		if end = header + localLen + int64(nameLen) + extraLen + rec.packed; end > size {
			return damagedf("the entry at %d reaches beyond the end of the archive", header)
		}
		unpacked += rec.size
		if !isFolder(rec.name) {
			files++
		}
		return nil
	})
	return files, unpacked, err
}
