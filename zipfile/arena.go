package zipfile

// arena stores strings of up to slabLen bytes one after the other, at no cost beyond
// their bytes.
type arena struct {
	slabs [][]byte
}

const (
	slabBits = 16
	slabLen  = 1 << slabBits
)

// add stores a copy of b and returns its place.
func (a *arena) add(b []byte) uint32 {
	last := len(a.slabs) - 1
	if last < 0 || len(a.slabs[last])+len(b) > slabLen {
		a.slabs = append(a.slabs, make([]byte, 0, slabLen))
		last++
	}
	at := len(a.slabs[last])
	a.slabs[last] = append(a.slabs[last], b...)
	return uint32(last)<<slabBits | uint32(at)
}

// from returns what was stored at a place, and perhaps more after it.
func (a *arena) from(at uint32) []byte { return a.slabs[at>>slabBits][at&(slabLen-1):] }

func (a *arena) len() int64 { return int64(len(a.slabs)) * slabLen }
