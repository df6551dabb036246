package zipfile

import (
	"context"
	"hash/crc32"
)

// maxGap is how many bytes of a stored file are read beyond the request. With them,
// out-of-order requests and the end of a short file are checked too.
const maxGap = 2 << 20

// readStored fills p from off with the archive's own bytes.
func (r *Reader) readStored(ctx context.Context, src Source, p []byte, off int64) (int, error) {
	if err := r.Err(); err != nil {
		return 0, err
	}
	if r.data.Load() == 0 {
		if err := r.lock(ctx); err != nil {
			return 0, err
		}
		err := r.begin(ctx, src)
		r.unlock()
		if err != nil {
			return 0, err
		}
	}
	if err := readFull(ctx, src, p, r.data.Load()+off); err != nil {
		return 0, err
	}
	if r.whole.Load() {
		return len(p), nil
	}
	if err := r.check(ctx, src, p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// check adds bytes that were read at off to the checksum, if those before them are
// already in it or are few.
func (r *Reader) check(ctx context.Context, src Source, p []byte, off int64) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()
	if err := r.Err(); err != nil {
		return err
	}
	end := off + int64(len(p))
	if r.whole.Load() || end <= r.summed || off-r.summed > maxGap {
		return nil
	}
	if gap := off - r.summed; gap > 0 {
		b := r.memory.buffer(pieceLen)
		for r.summed < off {
			part := b[:min(pieceLen, off-r.summed)]
			if err := readFull(ctx, src, part, r.data.Load()+r.summed); err != nil {
				return err
			}
			r.sum = crc32.Update(r.sum, crc32.IEEETable, part)
			r.summed += int64(len(part))
		}
		r.memory.recycle(b)
	}
	r.sum = crc32.Update(r.sum, crc32.IEEETable, p[r.summed-off:])
	if r.summed = end; end == r.size {
		return r.finish()
	}
	return nil
}
