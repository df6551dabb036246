package zipfile

import "encoding/binary"

// These are the extra fields that matter.
const (
	extraZip64       = 0x0001
	extraNTFS        = 0x000a
	extraTimes       = 0x5455
	extraUnicodePath = 0x7075
)

// extraField returns the contents of a field, or nil if it is not there. The search
// ends at anything that is not a list of fields.
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
