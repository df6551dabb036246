package repository

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// contentWriter answers one request with a file or ranges of it.
type contentWriter struct {
	w          http.ResponseWriter
	r          *http.Request
	f          *os.File
	size       int64
	repository *Repository
}

// single answers with one range. The 206 has no ETag and no Last-Modified. Its
// Content-Length may promise more than is sent. net/http then closes the connection,
// as a server that ran out of bytes must.
func (c contentWriter) single(spec string) error {
	rg, ok := parseRange(spec, c.size)
	if !ok {
		return c.unsatisfiable()
	}
	c.w.Header().Set("Content-Range", rg.contentRange(c.size))
	c.w.Header().Set("Content-Length", strconv.FormatInt(rg.len(), 10))
	c.w.WriteHeader(http.StatusPartialContent)
	return c.send(rg)
}

func (c contentWriter) unsatisfiable() error {
	c.w.Header().Set("Content-Range", `"*"`)
	c.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	return nil
}

// RFC 2046 does not allow this boundary. It is Alfresco's.
const (
	rangeBoundary = "<ALF4558907921887235966L>"
	rangeEnd      = "--" + rangeBoundary + "--\r\n"
)

// multiple answers with several ranges as multipart/byteranges. If the header names
// none, it does nothing and returns false.
func (c contentWriter) multiple(spec, mimeType string) (done bool, err error) {
	ranges, ok := parseRanges(spec, c.size)
	if !ok {
		return true, c.unsatisfiable()
	}
	if len(ranges) == 0 {
		return false, nil
	}
	if agent := c.r.Header.Values("User-Agent"); len(agent) == 0 || strings.Contains(agent[0], "MSIE ") {
		ranges = mergeRanges(ranges)
	}
	heads, length := make([]string, len(ranges)), int64(len(rangeEnd))
	for i, rg := range ranges {
		heads[i] = fmt.Sprintf("--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
			rangeBoundary, mimeType, rg.contentRange(c.size))
		length += int64(len(heads[i])) + rg.len() + 2
	}
	c.w.Header().Set("Content-Type", "multipart/byteranges; boundary="+rangeBoundary)
	c.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	c.w.WriteHeader(http.StatusPartialContent)
	for i, rg := range ranges {
		if _, err := io.WriteString(c.w, heads[i]); err != nil {
			return true, err
		}
		if err := c.send(rg); err != nil {
			return true, err
		}
		if _, err := io.WriteString(c.w, "\r\n"); err != nil {
			return true, err
		}
	}
	_, err = io.WriteString(c.w, rangeEnd)
	return true, err
}

// mergeRanges joins ranges that touch or overlap.
func mergeRanges(ranges []byteRange) []byteRange {
	slices.SortStableFunc(ranges, func(a, b byteRange) int { return cmp.Compare(a.start, b.start) })
	merged := ranges[:1]
	for _, rg := range ranges[1:] {
		if last := &merged[len(merged)-1]; last.end+1 >= rg.start {
			last.end = max(last.end, rg.end)
		} else {
			merged = append(merged, rg)
		}
	}
	return merged
}

// send streams the part of rg that exists. The store skips to its start, at once or
// (with SkipReads) by reading. If the skip does not reach the start, send sends
// nothing.
func (c contentWriter) send(rg byteRange) error {
	n := min(rg.len(), c.size-rg.start)
	if n <= 0 || rg.start > 0 && c.repository.cfg.SkipFails {
		return nil
	}
	pace := newPacer(c.repository.cfg.ContentRate, contentChunk)
	from, through := rg.start, int64(0)
	if c.repository.cfg.SkipReads {
		from, through = 0, rg.start
	}
	if _, err := c.f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if err := c.paced(pace, through, c.skip); err != nil {
		return err
	}
	return c.paced(pace, n, c.copy)
}

// contentChunk is how much content is sent at once if there is a ContentRate.
const contentChunk = 64 << 10

// paced has move move n bytes: all at once, or in chunks as the pace allows.
func (c contentWriter) paced(pace *pacer, n int64, move func(n int64) error) error {
	if pace == nil {
		return move(n)
	}
	for n > 0 {
		k := min(n, contentChunk)
		if err := pace.wait(c.r.Context(), int(k)); err != nil {
			return err
		}
		if err := move(k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// copy sends n bytes from the current position of the file, by sendfile if there is
// one.
func (c contentWriter) copy(n int64) error {
	sent, err := io.CopyN(c.w, c.f, n)
	c.repository.counters.contentBytes.Add(sent)
	return err
}

// skip reads n bytes from the current position of the file and sends none of them.
func (c contentWriter) skip(n int64) error {
	_, err := io.CopyN(io.Discard, c.f, n)
	return err
}
