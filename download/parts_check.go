package download

import (
	"context"
	"fmt"
	"time"

	"downloadfs/zipfile"
)

// checkPart reads the zip of a part from the server through the cache, from its
// beginning to its end, and unpacks it on the way. It returns how far it has read
// without a gap. A damaged zip is zipfile.ErrDamaged or zipfile.ErrFormat.
func (m *Manager) checkPart(ctx context.Context, d *Download, p *piece, h Archive) (through int64, err error) {
	in := &checkedPart{pinned: pinned{h}, m: m, d: d, p: p, since: time.Now()}
	if err := in.begin(ctx); err != nil {
		return 0, err
	}
	defer in.end()
	files, unpacked, err := zipfile.Check(ctx, in, p.archive.Size, in.rest)
	if err == nil && (files < p.progress.FilesAdded || unpacked < p.progress.BytesAdded) {
		err = fmt.Errorf("%w: %d files of %d bytes, and the server says %d of %d", zipfile.ErrDamaged,
			files, unpacked, p.progress.FilesAdded, p.progress.BytesAdded)
	}
	return in.through, err
}

// checkedPart is what a check reads. One goroutine reads it.
type checkedPart struct {
	pinned
	m *Manager
	d *Download
	p *piece

	through int64     // all bytes before it have been read
	working bool      // it holds Manager.checks
	since   time.Time // when work began after the last rest; moved by the time of each read
}

// begin makes the check one that works: one at a time unpacks, while the others wait
// for bytes.
func (c *checkedPart) begin(ctx context.Context) error {
	select {
	case c.m.checks <- struct{}{}:
		c.working = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *checkedPart) end() {
	if c.working {
		c.working = false
		<-c.m.checks
	}
}

// ReadAt implements zipfile.Source.
func (c *checkedPart) ReadAt(ctx context.Context, b []byte, off int64) (int, error) {
	c.end()
	began := time.Now()
	n, err := c.pinned.ReadAt(ctx, b, off)
	if off <= c.through {
		c.through = max(c.through, off+int64(n))
		c.m.reached(c.d, c.p, c.through)
	}
	if err := c.begin(ctx); err != nil {
		return n, err
	}
	c.since = c.since.Add(time.Since(began))
	return n, err
}

// rest is for a check to call between two pieces of work. While archives are being
// read, it lets the check use half of a processor, and otherwise one.
func (c *checkedPart) rest(ctx context.Context) error {
	c.m.mu.Lock()
	busy := c.m.opened > 0
	c.m.mu.Unlock()
	if worked := time.Since(c.since); busy && worked > 0 {
		if err := sleep(ctx, worked); err != nil {
			return err
		}
	}
	c.since = time.Now()
	return nil
}
