package zipfile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"unicode/utf8"
)

// maxName is the longest name of a file, in bytes.
const maxName = 255

// These are the systems whose programs write names as the system has them. That is
// UTF-8 nowadays, and the programs often forget the flag.
const (
	madeOnUnix  = 3
	madeOnMacOS = 19
)

// appendPath appends the path of a record, in UTF-8 but not made safe. It takes the
// first of these that applies:
//
//   - the name itself, if it is flagged as UTF-8;
//   - the Unicode path field, if it was made for exactly this name;
//   - the name itself, if it is UTF-8 and from a system that has such names;
//   - the name in code page 437.
func (rec *record) appendPath(dst []byte) []byte {
	flagged := rec.flags&flagUTF8 != 0
	if flagged && utf8.Valid(rec.name) {
		return append(dst, rec.name...)
	}
	if b := extraField(rec.extra, extraUnicodePath); len(b) > 5 && b[0] == 1 &&
		binary.LittleEndian.Uint32(b[1:]) == crc32.ChecksumIEEE(rec.name) && utf8.Valid(b[5:]) {
		return append(dst, b[5:]...)
	}
	system := rec.madeBy >> 8
	if flagged || (system == madeOnUnix || system == madeOnMacOS) && utf8.Valid(rec.name) {
		return append(dst, rec.name...) // safe handles what is not UTF-8
	}
	for _, c := range rec.name {
		if c < utf8.RuneSelf {
			dst = append(dst, c)
		} else {
			dst = utf8.AppendRune(dst, cp437[c-utf8.RuneSelf])
		}
	}
	return dst
}

// relative removes what would lead a path out of the tree. The result starts with a
// name.
func relative(path []byte) []byte {
	for {
		rest := bytes.TrimPrefix(path, []byte("/"))
		rest = bytes.TrimPrefix(rest, []byte("./"))
		rest = bytes.TrimPrefix(rest, []byte("../"))
		if len(rest) == len(path) {
			return path
		}
		path = rest
	}
}

// nameless stands for a part of a path that is not a name.
const nameless = "?"

// safe appends the name under which a part of a path is shown. Control characters
// become their pictures, and what is not UTF-8 becomes the replacement character. The
// name is cut to the longest that is allowed.
func safe(dst, part []byte) []byte {
	if string(part) == ".." || string(part) == "." || len(part) == 0 {
		return append(dst, nameless...)
	}
	start := len(dst)
	for len(part) > 0 {
		r, n := utf8.DecodeRune(part)
		part = part[n:]
		switch {
		case r < 0x20:
			r += 0x2400 // ␀ and so on
		case r == 0x7f:
			r = 0x2421 // ␡
		case r >= 0x80 && r < 0xa0:
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
	}
	if len(dst)-start > maxName {
		stem, ext := splitExt(dst[start:])
		ext = bytes.Clone(ext)
		dst = append(dst[:start+len(cut(stem, maxName-len(ext)))], ext...)
	}
	return dst
}

// plain reports whether a part of a path can be shown as it is.
func plain(part []byte) bool {
	if len(part) == 0 || len(part) > maxName || part[0] == '.' && (len(part) == 1 || string(part) == "..") {
		return false
	}
	for ; len(part) >= 8; part = part[8:] {
		// The highest bit of a byte is set if the byte is below 0x20, or 0x7f or above.
		const ones = 0x0101010101010101
		if x := binary.LittleEndian.Uint64(part); ((x-0x20*ones)|(x+ones)|x)&(0x80*ones) != 0 {
			return false
		}
	}
	for _, c := range part {
		if c < 0x20 || c >= 0x7f {
			return false
		}
	}
	return true
}

// splitExt splits a name before its extension, if it has one worth keeping.
func splitExt(name []byte) (stem, ext []byte) {
	const longest = 32
	if i := bytes.LastIndexByte(name, '.'); i > 0 && len(name)-i <= longest {
		return name[:i], name[i:]
	}
	return name, nil
}

// cut shortens b to at most n bytes, between characters.
func cut(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return b[:n]
}

// numbered is a name that is taken, split where its number goes.
type numbered struct{ stem, ext []byte }

// number splits a name so that any number can be inserted.
func number(name []byte) numbered {
	const longest = len(" (4294967295)")
	stem, ext := splitExt(name)
	return numbered{cut(stem, maxName-longest-len(ext)), ext}
}

// append appends the name with number n.
func (m numbered) append(dst []byte, n uint64) []byte {
	dst = append(append(dst, m.stem...), " ("...)
	return append(append(strconv.AppendUint(dst, n, 10), ')'), m.ext...)
}
