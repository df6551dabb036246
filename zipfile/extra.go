package zipfile

import "encoding/binary"

// The extra fields that matter.
const (
	extraZip64       = 0x0001
	extraNTFS        = 0x000a
	extraTimes       = 0x5455
	extraUnicodePath = 0x7075
)

// extraField returns the contents of a field, nil when it is not there. What is
// not a list of fields ends the search.
func extraField(extra []byte, id uint16) []byte {
	for len(extra) >= 4 {
		n := int(binary.LittleEndian.Uint16(extra[2:]))
		if len(extra) < 4+n {
			return nil
		}
		if binary.LittleEndian.Uint16(extra) == id {
			return extra[4 : 4+n]
		}
		extra = extra[4+n:]
	}
	return nil
}
