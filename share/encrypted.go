package share

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// An encrypted object is a row of frames. The first holds as many bytes as the header of
// a piece, and each of the others a block. So a block is read, as without encryption, by
// one request for a range.
//
// A frame is an age file, behind a checksum of the beginning of that file: what no key
// decrypts was encrypted with another key if the checksum is right, and is damaged if
// it is not. Inside the age file is a label of where the frame belongs, and then its
// bytes. So a frame that was moved within the object, to another object or to another
// account is found out, and so is an object whose last frames are missing.

const (
	firstFrame = headerLen
	frameSize  = blockSize
	labelLen   = sha256.Size
	// ageHeader is what age writes first, for one X25519 recipient. It adds ageTag to
	// each ageChunk.
	ageHeader = 184
	ageChunk  = 64 << 10
	ageTag    = 16
	// frameHeader is the checksum and what it is of.
	frameHeader = 4 + ageHeader
)

// ageMagic begins every age file.
var ageMagic = []byte("age-encryption.org/v1\n")

// isEncrypted reports whether an object begins as encrypted ones do.
func isEncrypted(stored []byte) bool {
	return len(stored) > 4 && bytes.HasPrefix(stored[4:], ageMagic)
}

// encryptedLen returns how long a frame with n bytes is in the store.
func encryptedLen(n int64) int64 {
	n += labelLen
	return frameHeader + n + (n+ageChunk-1)/ageChunk*ageTag
}

// frameOf returns the frame that byte off of an object is in.
func frameOf(off int64) int64 {
	if off < firstFrame {
		return 0
	}
	return 1 + (off-firstFrame)/frameSize
}

// frameStart returns the offset of a frame's first byte in the object as it is read.
func frameStart(frame int64) int64 {
	if frame == 0 {
		return 0
	}
	return firstFrame + (frame-1)*frameSize
}

// encryptedStart returns a frame's offset in the object as it is stored.
func encryptedStart(frame int64) int64 {
	if frame == 0 {
		return 0
	}
	return encryptedLen(firstFrame) + (frame-1)*encryptedLen(frameSize)
}

// encrypted is an account's part of a store, encrypted. What List says of sizes is what
// the objects take in the store.
type encrypted struct {
	Store
	key     *Key
	account string
}

// label returns what a frame of an object begins with. last says that it is the
// object's last.
func (s *encrypted) label(key string, frame int64, last bool) [labelLen]byte {
	return sha256.Sum256(fmt.Appendf(nil, "downloadfs frame\x00%s\x00%s\x00%d\x00%t", s.account, key, frame, last))
}

// Create implements Store.
func (s *encrypted) Create(ctx context.Context, key string, body []byte) error {
	frames := frameOf(max(int64(len(body)), 1)-1) + 1
	buf := bytes.NewBuffer(make([]byte, 0, encryptedStart(frames)))
	for frame := range frames {
		bytes := body[frameStart(frame):min(frameStart(frame+1), int64(len(body)))]
		label := s.label(key, frame, frame == frames-1)
		if err := s.appendFrame(buf, label[:], bytes); err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	return s.Store.Create(ctx, key, buf.Bytes())
}

func (s *encrypted) appendFrame(buf *bytes.Buffer, parts ...[]byte) error {
	begin := buf.Len()
	buf.Write(make([]byte, 4))
	w, err := age.Encrypt(buf, s.key.recipient)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	header := buf.Bytes()[begin : begin+frameHeader]
	binary.BigEndian.PutUint32(header, sum(header[4:]))
	return nil
}

// Open implements Store. Its reader fails with errDamaged for what was changed or
// moved, and with errOtherKey for what another key has encrypted.
func (s *encrypted) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	frame := frameOf(off)
	start, length := encryptedStart(frame), int64(-1)
	if n >= 0 {
		length = encryptedStart(frameOf(max(off+n, 1)-1)+1) - start
	}
	rc, err := s.Store.Open(ctx, key, start, length)
	if err != nil {
		return nil, err
	}
	f := s.frames(key, rc)
	f.frame, f.skip, f.left = frame, off-frameStart(frame), n
	return f, nil
}

// frames returns a reader of a whole object whose stored bytes rc has. It closes rc.
func (s *encrypted) frames(key string, rc io.ReadCloser) *frames {
	return &frames{s: s, key: key, rc: rc, left: -1}
}

// frames reads an encrypted object. One goroutine uses it.
type frames struct {
	s   *encrypted
	key string
	rc  io.ReadCloser

	frame  int64     // the one that is read, or comes next
	plain  io.Reader // its bytes; nil before and after a frame
	last   bool      // it is the object's last
	opened bool      // a frame has been decrypted
	skip   int64     // bytes before those that are wanted
	left   int64     // bytes still wanted; negative: all
	failed error     // of rc
}

// Read implements io.Reader.
func (f *frames) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case f.left == 0:
			return 0, io.EOF
		case f.plain == nil && f.last:
			return 0, f.end()
		case f.plain == nil:
			if err := f.next(); err != nil {
				return 0, err
			}
			continue
		}
		if f.left > 0 {
			p = p[:min(int64(len(p)), f.left)]
		}
		n, err := f.plain.Read(p)
		if f.left > 0 {
			f.left -= int64(n)
		}
		if err == io.EOF {
			f.plain, err = nil, nil
			f.frame++
		}
		if err != nil {
			err = f.fault(err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// Close implements io.Closer.
func (f *frames) Close() error { return f.rc.Close() }

// raw reads what is in the store, and remembers how that failed.
type raw struct{ f *frames }

func (r raw) Read(p []byte) (int, error) {
	n, err := r.f.rc.Read(p)
	if err != nil && err != io.EOF {
		r.f.failed = err
	}
	return n, err
}

// next begins to read a frame. It returns io.EOF if the object has ended before the
// first frame that was asked for.
func (f *frames) next() error {
	size := int64(frameSize)
	if f.frame == 0 {
		size = firstFrame
	}
	header := make([]byte, frameHeader)
	switch _, err := io.ReadFull(raw{f}, header); {
	case err == io.EOF && !f.opened && f.frame > 0:
		return io.EOF
	case err != nil:
		return f.fault(err)
	case binary.BigEndian.Uint32(header) != sum(header[4:]):
		return fmt.Errorf("frame: %w", errDamaged)
	}
	rest := io.LimitReader(raw{f}, encryptedLen(size)-frameHeader)
	plain, err := age.Decrypt(io.MultiReader(bytes.NewReader(header[4:]), rest), f.s.key.identities...)
	if err != nil {
		return f.fault(err)
	}
	var label [labelLen]byte
	if _, err := io.ReadFull(plain, label[:]); err != nil {
		return f.fault(err)
	}
	switch label {
	case f.s.label(f.key, f.frame, false):
	case f.s.label(f.key, f.frame, true):
		f.last = true
	default:
		return fmt.Errorf("it is of another place: %w", errDamaged)
	}
	f.opened = true
	if _, err := io.CopyN(io.Discard, plain, f.skip); err == io.EOF {
		f.left = 0 // it ends before what was asked for
	} else if err != nil {
		return f.fault(err)
	}
	f.plain, f.skip = plain, 0
	return nil
}

// end makes sure that nothing is behind the last frame.
func (f *frames) end() error {
	switch n, err := io.ReadFull(raw{f}, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("it is too long: %w", errDamaged)
	case err != io.EOF:
		return err
	}
	return io.EOF
}

// fault returns what a failure to decrypt means.
func (f *frames) fault(err error) error {
	if f.failed != nil {
		return f.failed
	}
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return errOtherKey
	}
	return fmt.Errorf("%w: %v", errDamaged, err)
}
