package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"downloadfs/download"
)

// firstRead is how much of a stream is read before Stream returns, to know that the
// server really sends. Less is enough if no more is at hand.
const firstRead = 32 << 10

// skipRead is the size of the reads that skip unwanted bytes.
const skipRead = 256 << 10

// errIdle ends an attempt on whose connection nothing moves.
var errIdle = errors.New("no byte came for the idle timeout")

// Stream opens bytes [off, end) of the archive. See download.Source.
//
// A range is requested by absolute, clamped positions. Two answers are believed: a 206
// that says that it starts at off and belongs to a whole of a.Size bytes, and a 200 of
// a.Size bytes, of which the first off are skipped. If an answer does not say its
// length, it is read to its end before the last byte is passed on. If the server
// answers a range with nothing, as it does over some content stores, the content is
// read from its beginning instead.
func (c *Client) Stream(ctx context.Context, a download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	op := operation{name: "read", text: fmt.Sprintf("read archive of %s at %d", a.ID, off), id: a.ID, off: off, confirm: confirmContent, request: requestID()}
	if off < 0 || off >= end || end > a.Size {
		return nil, invalid("%s: bytes %d to %d of %d", op.text, off, end, a.Size)
	}
	var (
		s     *stream
		empty int // attempts in a row at which the server sent no byte of the range
		limit = patience(c.cfg.IdleTimeout)
	)
	err := c.repeat(ctx, op, false, c.cfg.MaxElapsed, func() (f *failure) {
		s, f = c.open(ctx, op, a, off, end, limit.next(), false)
		switch {
		case f.elsewhere():
			return c.believeRefusal(ctx, op, f)
		case f == nil || f.empty == 0:
			empty = 0
			return f
		case f.empty == surelyEmpty:
			empty = triesOfEmpty
		default:
			empty++
		}
		if empty < triesOfEmpty {
			return f
		}
		empty = 0
		c.log.LogAttrs(ctx, slog.LevelWarn, "the server sends no byte of a range; reading from the beginning", op.attrs()...)
		s, f = c.open(ctx, op, a, off, end, limit.next(), true)
		return f
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// emptiness is what is known of an answer that ended before its first byte.
type emptiness int

const (
	// maybeEmpty: the answer promised more. Alfresco does so when the content's store
	// cannot skip to the range, but a broken connection looks the same.
	maybeEmpty emptiness = iota + 1
	// surelyEmpty: the answer was complete and had no bytes.
	surelyEmpty
)

// triesOfEmpty is how often in a row a range must be maybeEmpty before the content is
// read from its beginning, which can cost much.
const triesOfEmpty = 2

// open makes one attempt at a stream and waits for its first byte.
func (c *Client) open(ctx context.Context, op operation, a download.ArchiveInfo, off, end int64, limit time.Duration, plain bool) (*stream, *failure) {
	own, cancel := context.WithCancelCause(ctx)
	watchdog := time.AfterFunc(limit, func() { cancel(errIdle) })
	defer watchdog.Stop()
	//nolint:bodyclose // the stream closes it
	resp, f := c.send(own, c.content, op, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(own, http.MethodGet, c.core+"/nodes/"+url.PathEscape(string(a.Content()))+"/content", nil)
		if err == nil && !plain {
			req.Header.Set("Range", rangeHeader(off, end))
		}
		return req, err
	})
	if f != nil {
		if errors.Is(context.Cause(own), errIdle) {
			f = &failure{kind: download.ErrUnavailable, detail: "no answer in time (" + errIdle.Error() + ")"}
		}
		cancel(nil)
		return nil, f
	}
	s := &stream{
		c: c, ctx: ctx, own: own, cancel: cancel, body: resp.Body, op: op, left: end - off,
		watchdog: watchdog, idle: limit, size: a.Size, after: -1,
	}
	if sizeUntold(resp) {
		s.after = a.Size - end
	}
	from, to := off, end
	if plain {
		from, to = 0, a.Size
	}
	var skip int64
	if skip, f = c.believe(op, resp, a, from, to); f == nil {
		s.body = resp.Body
		f = s.begin(skip + off - from)
		s.idle = c.cfg.IdleTimeout
	}
	if f != nil {
		_ = s.Close()
		return nil, f
	}
	return s, nil
}

// believe checks that an answer is about bytes [off, ...) of this archive and
// returns how many bytes come before them.
func (c *Client) believe(op operation, resp *http.Response, a download.ArchiveInfo, off, end int64) (skip int64, f *failure) {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		r, err := parseContentRange(resp.Header.Get("Content-Range"))
		switch {
		case err != nil:
			return 0, protocolFailure("the server does not say which bytes it sends (Content-Range %q)", resp.Header.Get("Content-Range"))
		case r.total != a.Size && r.total >= 0:
			return 0, changed(r.total, a.Size)
		case r.total < 0:
			return 0, protocolFailure("the server does not say how large the archive is")
		case r.first != off || r.last >= end:
			return 0, protocolFailure("the server sends bytes %d to %d, asked for were %d to %d", r.first, r.last, off, end-1)
		}
		if r.len() < end-off {
			// Less than requested is allowed; more than announced is not passed on.
			resp.Body = struct {
				io.Reader
				io.Closer
			}{io.LimitReader(resp.Body, r.len()), resp.Body}
		}
		return 0, nil
	case http.StatusOK:
		if isHTML(resp.Header.Get("Content-Type")) {
			return 0, c.webPage(resp, "the archive")
		}
		total := resp.ContentLength
		r, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err == nil && (total < 0 || r.total >= 0 && r.total != a.Size) {
			total = r.total
		}
		switch {
		case err == nil && r.first != 0:
			return 0, protocolFailure("the server sends all bytes and says they start at %d", r.first)
		case sizeUntold(resp):
		case total < 0:
			return 0, protocolFailure("the server does not say how large the archive is")
		case total != a.Size:
			return 0, changed(total, a.Size)
		}
		if off > 0 {
			c.warnRange.Do(func() {
				c.log.LogAttrs(context.Background(), slog.LevelWarn, "the server ignores ranges; each read starts at the beginning of the archive", op.attrs()...)
			})
		}
		return off, nil
	}
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return 0, protocolFailure("status %d instead of content", resp.StatusCode)
	}
	// The watchdog still runs, so a refusal that dribbles in is not waited for.
	return 0, c.refusal(resp)
}

// sizeUntold reports whether an answer is a whole archive that does not say its length
// but shows its end.
func sizeUntold(resp *http.Response) bool {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/octet-stream", "application/zip", "application/x-zip-compressed":
	default:
		return false // only its name would tell it from something else
	}
	return resp.StatusCode == http.StatusOK && resp.ContentLength < 0 && resp.Header.Get("Content-Range") == "" &&
		slices.Contains(resp.TransferEncoding, "chunked")
}

func changed(got, known int64) *failure {
	return &failure{kind: download.ErrChanged, detail: fmt.Sprintf("it has %d bytes now, not %d", got, known), lasting: true}
}

// stream is the reader that Stream returns. One goroutine at a time may call Read.
// Another may call Close, which ends a Read.
type stream struct {
	c        *Client
	ctx      context.Context // the caller's; Stream's contract ties the reader to it
	own      context.Context // of the request; also ended by the watchdog and Close
	cancel   context.CancelCauseFunc
	watchdog *time.Timer // runs only while a read of the body does
	idle     time.Duration
	body     io.ReadCloser
	op       operation
	head     []byte // what begin has read ahead
	left     int64  // bytes still to be passed on, including head's
	size     int64  // of the archive
	after    int64  // how many bytes must follow these; -1: their number is known to be right
	err      error  // sticky
}

// begin skips to the first wanted byte and waits for it.
func (s *stream) begin(skip int64) *failure {
	size := int64(firstRead)
	if skip > 0 {
		size = skipRead
	}
	buf := make([]byte, min(size, max(s.left, skip)))
	for skip > 0 {
		n, err := s.fill(buf[:min(int64(len(buf)), skip)])
		if skip -= int64(n); err != nil && skip > 0 {
			return s.early(err)
		}
	}
	buf = buf[:min(int64(len(buf)), s.left, firstRead)]
	for len(s.head) == 0 {
		n, err := s.fill(buf)
		if f := s.atEnd(n, &err); f != nil {
			return f
		}
		s.head = buf[:n]
		if err != nil && n == 0 {
			return s.early(err)
		}
		if err != nil && err != io.EOF {
			s.err = s.broken(err)
		}
	}
	return nil
}

// early returns the failure for a body that ended before its first wanted byte.
func (s *stream) early(err error) *failure {
	if err == io.EOF {
		return &failure{kind: download.ErrUnavailable, detail: "the server sent no byte of the range",
			code: http.StatusPartialContent, empty: surelyEmpty}
	}
	f := s.c.transportFailure(s.cause(err), true, false)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		f.empty = maybeEmpty
	}
	return f
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	switch {
	case s.ctx.Err() != nil:
		return 0, fmt.Errorf("%s: %w", s.op.text, s.ctx.Err())
	case len(p) == 0:
		return 0, nil
	case len(s.head) > 0:
		n := copy(p, s.head)
		s.head = s.head[n:]
		if s.left -= int64(n); len(s.head) == 0 {
			s.head = nil // release the buffer
		}
		return n, nil
	case s.left == 0:
		return 0, io.EOF
	case s.err != nil:
		return 0, s.err
	}
	n, err := s.fill(p[:min(int64(len(p)), s.left)])
	if f := s.atEnd(n, &err); f != nil {
		s.err = fmt.Errorf("%s: %w", s.op.text, f)
		return 0, s.err
	}
	s.left -= int64(n)
	if err != nil && s.left > 0 {
		s.err = s.broken(err)
		return n, s.err
	}
	return n, nil
}

// atEnd makes sure that the last n wanted bytes are passed on only when the answer
// turns out to have the right length. err is the error of the read that gave these
// bytes.
func (s *stream) atEnd(n int, err *error) *failure {
	if s.after < 0 || int64(n) < s.left {
		return nil
	}
	got, buf := int64(0), make([]byte, firstRead)
	for *err == nil && got <= s.after {
		var more int
		more, *err = s.fill(buf)
		got += int64(more)
	}
	switch {
	case *err == nil, *err == io.EOF && got != s.after:
		return changed(s.size-s.after+got, s.size)
	case *err != io.EOF:
		return s.c.transportFailure(s.cause(*err), true, false)
	}
	return nil
}

// fill reads once from the body under the watchdog.
func (s *stream) fill(p []byte) (int, error) {
	s.watchdog.Reset(s.idle)
	n, err := s.body.Read(p)
	s.watchdog.Stop()
	return n, err
}

// broken returns the error that a reader gets when the bytes end early.
func (s *stream) broken(err error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", s.op.text, s.ctx.Err())
	}
	err = s.cause(err)
	if errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("%s: %w", s.op.text, err)
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %d bytes short: %w", s.op.text, s.left, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s: %d bytes short (%s): %w", s.op.text, s.left, s.c.scrub.clean(err.Error()), io.ErrUnexpectedEOF)
}

// cause prefers our own reason for ending the request to the transport's words.
func (s *stream) cause(err error) error {
	if cause := context.Cause(s.own); cause != nil {
		return cause
	}
	return err
}

// Close ends the stream. A connection whose body was read to its end is kept.
func (s *stream) Close() error {
	s.watchdog.Stop()
	err := s.body.Close()
	s.cancel(os.ErrClosed)
	if err != nil {
		return fmt.Errorf("%s: close: %s", s.op.text, s.c.scrub.clean(err.Error()))
	}
	return nil
}
