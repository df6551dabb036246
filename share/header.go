package share

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"downloadfs/download"
)

// headerLen is the length of a piece's header. The blocks follow it.
const headerLen = 512

// magic begins every piece; its last byte is the version.
var magic = []byte("dlfs-piece\x01")

// header says what a piece is. It makes each piece prove that it is the one that its
// key promises, so that pieces that were swapped are found out.
type header struct {
	account string // see Account
	id      download.ID
	size    int64
	modTime int64 // Unix seconds, 0 if unknown
	piece   int
	sums    []uint32 // one a block
}

func unixSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// append appends the encoded header to dst.
func (h *header) append(dst []byte) []byte {
	begin := len(dst)
	dst = append(dst, magic...)
	dst = appendText(dst, h.account)
	dst = appendText(dst, string(h.id))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.size))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.modTime))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.piece))
	dst = append(dst, byte(len(h.sums)))
	for _, s := range h.sums {
		dst = binary.BigEndian.AppendUint32(dst, s)
	}
	dst = append(dst, make([]byte, headerLen-4-(len(dst)-begin))...)
	return binary.BigEndian.AppendUint32(dst, sum(dst[begin:]))
}

func appendText(dst []byte, s string) []byte {
	return append(append(dst, byte(len(s))), s...)
}

// decodeHeader decodes what append made, and returns errDamaged for all else.
func decodeHeader(p []byte) (h header, err error) {
	if len(p) != headerLen || !bytes.HasPrefix(p, magic) || binary.BigEndian.Uint32(p[headerLen-4:]) != sum(p[:headerLen-4]) {
		return header{}, fmt.Errorf("header: %w", errDamaged)
	}
	p = p[len(magic) : headerLen-4]
	text := func() string {
		n := min(int(p[0]), len(p)-1)
		s := string(p[1 : 1+n])
		p = p[1+n:]
		return s
	}
	h.account, h.id = text(), download.ID(text())
	if len(p) < 21 {
		return header{}, fmt.Errorf("header: %w", errDamaged)
	}
	h.size = int64(binary.BigEndian.Uint64(p))
	h.modTime = int64(binary.BigEndian.Uint64(p[8:]))
	h.piece = int(binary.BigEndian.Uint32(p[16:]))
	n := int(p[20])
	if p = p[21:]; len(p) < 4*n || n > pieceBlocks {
		return header{}, fmt.Errorf("header: %w", errDamaged)
	}
	for i := range n {
		h.sums = append(h.sums, binary.BigEndian.Uint32(p[4*i:]))
	}
	return h, nil
}

// check reports whether the header is that of piece k of an archive.
func (h *header) check(account string, info download.ArchiveInfo, l layout, k int) error {
	from, to := l.span(k)
	known := unixSeconds(info.ModifiedAt)
	switch {
	case h.account != account:
		return fmt.Errorf("it is of another account: %w", errDamaged)
	case h.id != info.ID || h.piece != k:
		return fmt.Errorf("it is piece %d of %s: %w", h.piece, h.id, errDamaged)
	case h.size != info.Size, h.modTime != 0 && known != 0 && max(h.modTime-known, known-h.modTime) > 1:
		return fmt.Errorf("it is of another archive: %w", errDamaged)
	case len(h.sums) != to-from:
		return fmt.Errorf("it has %d sums: %w", len(h.sums), errDamaged)
	}
	return nil
}
