package client

import (
	"fmt"
	"strconv"
	"strings"

	"downloadfs/download"
)

// contentRange is the content of a Content-Range header: the first and the last byte
// and the size of the whole, or -1 when that is "*".
type contentRange struct {
	first, last, total int64
}

// len is the number of bytes in the range.
func (r contentRange) len() int64 { return r.last - r.first + 1 }

// parseContentRange reads "bytes FIRST-LAST/TOTAL" strictly (RFC 9110, 14.4). A value
// that does not say which bytes follow, such as "bytes */TOTAL", Alfresco's "*" (with
// 416) or "bytes 0--1/0" (an empty file), is an error wrapping ErrProtocol.
func parseContentRange(value string) (contentRange, error) {
	bad := fmt.Errorf("content range: %w", download.ErrProtocol)
	unit, rest, ok := strings.Cut(strings.TrimSpace(value), " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return contentRange{}, bad
	}
	span, total, ok := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok {
		return contentRange{}, bad
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		return contentRange{}, bad
	}
	r := contentRange{total: -1}
	var okFirst, okLast bool
	r.first, okFirst = parseDigits(first)
	r.last, okLast = parseDigits(last)
	if !okFirst || !okLast || r.first > r.last {
		return contentRange{}, bad
	}
	if total != "*" {
		if r.total, ok = parseDigits(total); !ok || r.last >= r.total {
			return contentRange{}, bad
		}
	}
	return r, nil
}

// parseDigits reads a number made of digits only; ParseInt would accept a sign.
func parseDigits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// rangeHeader returns the header for bytes [off, end). Both ends are always given, and
// end must not be past the size: Alfresco reads "-500" as the bytes 0 to 500, and
// promises more than it sends when the end is too far.
func rangeHeader(off, end int64) string {
	return fmt.Sprintf("bytes=%d-%d", off, end-1)
}
