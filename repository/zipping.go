package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// run zips one download. It only logs an error: the real server catches nothing but a
// cancel, so the state stays as it is for ever.
func (ds *downloads) run(d *download) {
	err := ds.archive(ds.ctx, d)
	if err != nil {
		ds.save(d) // with the counters that it ends at
	}
	switch {
	case err == nil:
	case errors.Is(err, errZipGone), ds.ctx.Err() != nil:
		ds.log.Debug("zip abandoned", "op", "zip", "download", d.id, "err", err)
	default:
		ds.log.Warn("zip failed; the download's state stays as it is", "op", "zip", "download", d.id, "err", err)
	}
}

func (ds *downloads) archive(ctx context.Context, d *download) error {
	if err := ds.update(d, func() {}); err != nil {
		return err
	}
	owner := ds.accounts[d.owner]
	var total estimator
	if err := ds.tree.export(ctx, owner, d.paths, &total); err != nil {
		return err
	}
	if limit := ds.cfg.MaxContentSize; limit > 0 && total.bytes > limit {
		return ds.update(d, func() {
			d.status = statusTooLarge
			d.bytesAdded, d.totalBytes = limit, total.bytes
			d.filesAdded, d.totalFiles = 0, total.files
		})
	}

	f, err := os.OpenFile(ds.zipPath(d)+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create zip: %w", err)
	}
	defer os.Remove(f.Name()) // exists only if it was not renamed
	defer f.Close()

	pace := newPacer(ds.cfg.ArchiveRate, copyBuffer)
	x := &exporter{tree: ds.tree, zip: newZipStream(f, ds.cfg.zipFormat()), buf: make([]byte, copyBuffer),
		pace: pace.wait, failAfter: ds.cfg.FailZipAfter}
	count := func(status string) {
		d.status = status
		d.bytesAdded, d.totalBytes = x.bytes, total.bytes
		d.filesAdded, d.totalFiles = x.files, total.files
	}
	x.report = func() error {
		cancelled := false
		err := ds.update(d, func() {
			count(statusInProgress)
			cancelled = d.cancelAsked
		})
		if err == nil && cancelled {
			err = errZipCancelled
		}
		return err
	}

	err = ds.tree.export(ctx, owner, d.paths, x)
	if errors.Is(err, errZipCancelled) {
		return ds.update(d, func() { count(statusCancelled) })
	}
	if err == nil {
		err = x.zip.Close()
	}
	if err == nil && ds.keep {
		err = f.Sync() // a record that says DONE must not outlive the zip
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	return ds.finish(d, f.Name(), func() { count(statusDone) })
}

// finish gives the zip its name and makes d DONE, or removes the zip if d has
// been deleted meanwhile.
func (ds *downloads) finish(d *download, part string, done func()) error {
	fi, err := os.Stat(part)
	if err != nil {
		return fmt.Errorf("finish zip: %w", err)
	}
	if err := os.Rename(part, ds.zipPath(d)); err != nil {
		return fmt.Errorf("finish zip: %w", err)
	}
	err = ds.update(d, func() {
		done()
		d.size = fi.Size()
	})
	if errors.Is(err, errZipGone) {
		_ = os.Remove(ds.zipPath(d)) // remove may have come before the rename
	}
	return err
}

// update changes d under the lock. It saves d only if its state changes: a record of
// every step would cost more than the zip. It returns errZipGone if d was deleted.
func (ds *downloads) update(d *download, change func()) error {
	ds.mu.Lock()
	if d.gone {
		ds.mu.Unlock()
		return errZipGone
	}
	before := d.status
	change()
	now := d.progress()
	d.modified = time.Now()
	ds.mu.Unlock()
	if now.Status != before {
		ds.save(d)
		ds.log.Info("download "+now.Status, "op", "zip", "download", d.id, "state", now.Status)
	}
	return nil
}
