package share

import (
	"context"
	"errors"
	"io"
	iofs "io/fs"
	"sync"
	"time"

	"downloadfs/download"
)

const (
	// A follower looks for a piece that is not there yet after pollFirst, then more and
	// more slowly, up to pollMax.
	pollFirst = 200 * time.Millisecond
	pollMax   = 2 * time.Second
	// A follower waits dueWithin for a piece that the holder is fetching or will fetch
	// soon, and farWithin for one that it will come to later. Then it fetches the piece
	// itself.
	dueWithin = time.Minute
	farWithin = 5 * time.Second
)

// Source wraps the content server's archives: what the store has is read from there.
func (s *Share) Source(server download.Source) download.Source { return source{s, server} }

type source struct {
	s      *Share
	server download.Source
}

// Stream implements download.Source.
func (x source) Stream(ctx context.Context, info download.ArchiveInfo, off, end int64) (io.ReadCloser, error) {
	if !x.s.shared(info) || off < 0 || off >= end || end > info.Size {
		return x.server.Stream(ctx, info, off, end)
	}
	a := x.s.archive(info)
	r, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	if r == away || r == holder || r == gone {
		return x.s.fromServer(ctx, x.server, r, info, off, end)
	}
	rd := &reader{ctx: ctx, a: a, server: x.server, pos: off, end: end}
	if err := rd.fill(); err != nil {
		rd.Close()
		return nil, err
	}
	return rd, nil
}

// reader reads a range from the store, and from the content server what the store does
// not give. One goroutine uses it.
type reader struct {
	ctx      context.Context
	a        *archive
	server   download.Source
	pos, end int64

	ready []byte // checked, and not yet read
	block []byte // what ready is in

	body  *body    // a piece; nil if none is open
	piece int      // which
	sums  []uint32 // of its blocks
	next  int      // the block that comes next in it

	direct    io.ReadCloser // from the content server; nil if none is open
	directEnd int64

	waited time.Time // since when it waits for a piece; zero if it does not
	poll   time.Duration
}

// blocks are buffers of a block each.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if r.pos >= r.end {
			return 0, io.EOF
		}
		if r.direct != nil {
			n, err := r.direct.Read(p[:min(int64(len(p)), r.directEnd-r.pos)])
			r.pos += int64(n)
			if r.pos >= r.directEnd {
				r.closeDirect()
				err = nil
			}
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if len(r.ready) > 0 {
			n := copy(p, r.ready)
			r.ready = r.ready[n:]
			r.pos += int64(n)
			return n, nil
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.closeDirect()
	r.closeBody()
	r.ready = nil
	if r.block != nil {
		blocks.Put((*[blockSize]byte)(r.block[:blockSize]))
		r.block = nil
	}
	return nil
}

func (r *reader) closeDirect() {
	if r.direct != nil {
		_ = r.direct.Close() // what it gave has been read
		r.direct = nil
	}
}

func (r *reader) closeBody() {
	if r.body != nil {
		r.body.close()
		r.body = nil
	}
}

// fill gets the next bytes from where they are: a checked block into ready, or a stream
// of the content server into direct.
func (r *reader) fill() error {
	b := int(r.pos / blockSize)
	k := r.a.layout.piece(b)
	_, last := r.a.layout.span(k)
	pieceEnd := min(r.a.layout.offset(last), r.end)
	for damaged, missing := false, false; ; {
		role, err := r.a.look(r.ctx)
		if err != nil {
			return err
		}
		if role == away || role == holder || role == gone {
			return r.open(role, r.end)
		}
		if r.a.spoilt(k) {
			return r.open(role, pieceEnd)
		}
		err = r.load(k, b)
		switch {
		case err == nil:
			r.waited = time.Time{}
			r.a.arrived(k)
			return nil
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case errors.Is(err, errDamaged) && damaged, errors.Is(err, errOtherKey):
			r.a.spoil(k, err)
		case errors.Is(err, errDamaged):
			damaged = true // perhaps on its way here: read it again
		case errors.Is(err, iofs.ErrNotExist) && role == whole && missing:
			r.a.spoil(k, err)
		case errors.Is(err, iofs.ErrNotExist) && role == whole:
			missing = true // perhaps all of it was deleted
			r.a.lookAgain()
		case errors.Is(err, iofs.ErrNotExist):
			if late, err := r.await(k); err != nil {
				return err
			} else if late {
				return r.open(role, pieceEnd)
			}
		default:
			r.a.s.log.Debug("the share fails; reading from the content server", "op", "share", "download", r.a.info.ID, "off", r.pos, "err", err)
			return r.open(role, r.end)
		}
	}
}

// open goes on with the content server, up to end.
func (r *reader) open(role role, end int64) error {
	r.closeBody()
	r.waited = time.Time{}
	direct, err := r.a.s.fromServer(r.ctx, r.server, role, r.a.info, r.pos, end)
	if err == nil {
		r.direct, r.directEnd = direct, end
	}
	return err
}

// await waits a little for piece k. It reports whether it has waited long enough.
func (r *reader) await(k int) (late bool, err error) {
	now := time.Now()
	if r.waited.IsZero() {
		r.waited, r.poll = now, pollFirst
	}
	patience := farWithin
	if r.a.due(k) {
		patience = dueWithin
	}
	if now.Sub(r.waited) >= patience {
		return true, nil
	}
	err = pause(r.ctx, r.poll)
	r.poll = min(r.poll*3/2, pollMax)
	return false, err
}

// load reads block b of piece k and checks it.
func (r *reader) load(k, b int) (err error) {
	defer func() {
		if err != nil {
			r.closeBody()
		}
	}()
	l := r.a.layout
	from, to := l.span(k)
	if r.body == nil || r.piece != k || r.next != b {
		r.closeBody()
		h := r.a.header(k)
		if h == nil && b != from {
			if h, err = r.readHeader(k, 0); err != nil {
				return err
			}
			r.closeBody()
		}
		need := min(l.offset(to), (r.end+blockSize-1)/blockSize*blockSize) - l.offset(from)
		if h == nil {
			h, err = r.readHeader(k, need)
		} else {
			skip := l.offset(b) - l.offset(from)
			r.body, err = r.a.s.store.open(r.ctx, pieceKey(r.a.info.ID, k), headerLen+skip, need-skip)
		}
		if err != nil {
			return err
		}
		r.piece, r.sums, r.next = k, h.sums, b
	}
	if r.block == nil {
		r.block = blocks.Get().(*[blockSize]byte)[:]
	}
	n := int(l.offset(b+1) - l.offset(b))
	if err := r.body.full(r.ctx, r.block[:n]); err != nil {
		r.block = nil // it may still be written to
		return err
	}
	if sum(r.block[:n]) != r.sums[b-from] {
		return errDamaged
	}
	if r.next++; r.next == to {
		r.closeBody()
	}
	r.ready = r.block[r.pos-l.offset(b) : min(int64(n), r.end-l.offset(b))]
	return nil
}

// readHeader opens piece k and reads its header. The body then stands before the piece's
// first block, and n bytes follow.
func (r *reader) readHeader(k int, n int64) (*header, error) {
	body, err := r.a.s.store.open(r.ctx, pieceKey(r.a.info.ID, k), 0, headerLen+n)
	if err != nil {
		return nil, err
	}
	r.body = body
	p := make([]byte, headerLen)
	if err := body.full(r.ctx, p); err != nil {
		return nil, err
	}
	return r.a.takeHeader(k, p)
}
