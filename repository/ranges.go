package repository

import (
	"fmt"
	"strconv"
	"strings"
)

// byteRange is a range of content as Alfresco understands it. It includes both ends.
// The end may lie past the content.
type byteRange struct {
	start, end int64
}

// len returns what Content-Length promises for the range, true or not.
func (r byteRange) len() int64 { return r.end - r.start + 1 }

// contentRange returns the header's value for content of the given size.
func (r byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", r.start, r.end, size)
}

// rangeHeaderMin is the length of "bytes=". A header that is no longer is ignored. In
// a longer one, this many bytes are skipped, whatever they say.
const rangeHeaderMin = len("bytes=")

// parseRange reads one range as HttpRangeProcessor.Range.constructRange does, which
// is not as RFC 9110 says: "-500" is 0 to 500, an end past the size stays, and a
// start past the end is no range.
func parseRange(spec string, size int64) (byteRange, bool) {
	spec, _, _ = strings.Cut(spec, "/")
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return byteRange{}, false
	}
	r := byteRange{0, size - 1}
	var err error
	if first != "" {
		if r.start, err = strconv.ParseInt(first, 10, 64); err != nil {
			return byteRange{}, false
		}
	}
	if last != "" {
		if r.end, err = strconv.ParseInt(last, 10, 64); err != nil {
			return byteRange{}, false
		}
	}
	return r, r.start <= r.end
}

// parseRanges reads the comma-separated ranges of a header, without its unit.
func parseRanges(spec string, size int64) ([]byteRange, bool) {
	fields := strings.FieldsFunc(spec, func(c rune) bool { return c == ',' || c == ' ' })
	ranges := make([]byteRange, 0, len(fields))
	for _, f := range fields {
		r, ok := parseRange(f, size)
		if !ok {
			return nil, false
		}
		ranges = append(ranges, r)
	}
	return ranges, true
}
