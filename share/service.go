package share

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"time"

	"downloadfs/download"
)

// Service wraps the content server's downloads. A download that the server has deleted
// is still DONE while the store has its archive. To delete a download deletes its
// archive in the store too.
func (s *Share) Service(server download.Service) download.Service { return service{server, s} }

type service struct {
	download.Service
	s *Share
}

// Create implements download.Service. The others are told at once.
func (v service) Create(ctx context.Context, nodes []download.NodeID) (download.Progress, error) {
	p, err := v.Service.Create(ctx, nodes)
	if l := v.s.following(); l != nil {
		l.nudge()
	}
	return p, err
}

// Get implements download.Service.
func (v service) Get(ctx context.Context, id download.ID) (download.Progress, error) {
	if l := v.s.following(); l != nil {
		if l.elsewhere(id) {
			return download.Progress{}, removedElsewhere("get", id)
		}
		e, known := l.entry(id)
		if p, ok, err := v.s.partsAnswer(ctx, id, e); known && ok {
			return p, err
		}
		if e, ok := l.answer(id); ok {
			if e.State.Status == download.StatusExpired {
				return download.Progress{}, fmt.Errorf("get %s: the mount that asks for all found it gone: %w", id, download.ErrNotFound)
			}
			if v.s.cfg.Only && !e.State.Status.Ended() {
				if m, err := v.s.manifest(ctx, id); err == nil { // nobody is left to say so
					return m.done(), nil
				}
			}
			return e.State.progress(id), nil
		}
	}
	p, err := v.Service.Get(ctx, id)
	if l := v.s.following(); l != nil && err == nil && p.Status == download.StatusCancelled {
		// Perhaps by the mount that begins to get it in parts.
		l.readSince(ctx, time.Now())
		e, _ := l.entry(id)
		if p, ok, err := v.s.partsAnswer(ctx, id, e); ok {
			return p, err
		}
	}
	if errors.Is(err, download.ErrNotFound) {
		switch m, missing := v.s.manifest(ctx, id); {
		case missing == nil:
			return m.done(), nil
		case !errors.Is(missing, iofs.ErrNotExist) && !errors.Is(missing, errDamaged):
			return download.Progress{}, v.s.unknown(id, missing)
		case v.s.cfg.Only && !v.s.hasList():
			return download.Progress{}, v.s.unknown(id, errors.New("the list of downloads has not been read yet"))
		}
	}
	if err == nil && p.Status == download.StatusDone {
		v.s.mu.Lock()
		v.s.progress[id] = p
		v.s.mu.Unlock()
	}
	return p, err
}

// unknown returns the error for a download that the content server does not have, while
// nobody can know whether the share has it. It is no ErrNotFound: that would make the
// download EXPIRED for good.
func (s *Share) unknown(id download.ID, err error) error {
	if s.cfg.Only {
		return fmt.Errorf("get %s: %w", id, download.Because(download.ErrUnavailable, "the share cannot be read (%v)", err))
	}
	return fmt.Errorf("get %s: %w", id, download.Because(download.ErrProtocol,
		"the server does not know it, and the share, which may have its archive, cannot be read (%v)", err))
}

// hasList reports whether the list of all mounts has been read. A store without any list
// says nothing about a download: perhaps its file system is not mounted here.
func (s *Share) hasList() bool {
	l := s.following()
	if l == nil {
		return false
	}
	l.log.mu.RLock()
	defer l.log.mu.RUnlock()
	return l.log.roll.Seq > 0
}

func removedElsewhere(verb string, id download.ID) error {
	return fmt.Errorf("%s %s: it was removed on another machine: %w", verb, id, download.ErrNotFound)
}

// Archive implements download.Service.
func (v service) Archive(ctx context.Context, id download.ID) (download.ArchiveInfo, error) {
	if l := v.s.following(); l != nil {
		if e, _ := l.entry(id); e.Parts != nil && e.Parts.Archive != nil {
			return *e.Parts.archive(id), nil
		}
		if e, ok := l.answer(id); ok && e.State.Archive != nil {
			return *e.State.archive(id), nil
		}
	}
	info, err := v.Service.Archive(ctx, id)
	if errors.Is(err, download.ErrNotFound) {
		if m, missing := v.s.manifest(ctx, id); missing == nil {
			return m.info(), nil
		}
	}
	return info, err
}

// Cancel implements download.Service.
func (v service) Cancel(ctx context.Context, id download.ID) error {
	if l := v.s.following(); l != nil {
		if l.elsewhere(id) {
			return removedElsewhere("cancel", id)
		}
		if e, _ := l.entry(id); e.Parts != nil && e.Parts.Status == download.StatusCancelled {
			return nil // whoever got its parts tells the content server
		}
	}
	return v.Service.Cancel(ctx, id)
}

// Delete implements download.Service.
func (v service) Delete(ctx context.Context, id download.ID) error {
	wrote := v.s.forget(ctx, id)
	if v.s.cfg.Only {
		return v.Service.Delete(ctx, id)
	}
	l := v.s.following()
	elsewhere := l != nil && l.elsewhere(id)
	if elsewhere && !wrote {
		return removedElsewhere("delete", id)
	}
	err := v.s.deleteArchive(ctx, id)
	if err == nil {
		err = v.s.store.remove(ctx, nodesKey(id))
	}
	if err != nil && ctx.Err() == nil {
		// The content server is told all the same: what stays in the store is garbage
		// that prune finds.
		v.s.log.Warn("an archive stays in the share; 'downloadfs share prune' drops it", "op", "remove", "download", id, "err", err)
	}
	if elsewhere {
		return removedElsewhere("delete", id)
	}
	return v.Service.Delete(ctx, id)
}

// deleteArchive deletes an archive from the store. Its manifest goes first, so that
// nobody begins to read it.
func (s *Share) deleteArchive(ctx context.Context, id download.ID) error {
	if err := s.store.remove(ctx, doneKey(id)); err != nil {
		return err
	}
	return s.deleteObjects(ctx, archivePrefix(id), leasePrefix(id))
}

func (s *Share) deleteObjects(ctx context.Context, prefixes ...string) error {
	for _, prefix := range prefixes {
		objects, err := s.store.list(ctx, prefix)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := s.store.remove(ctx, o.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
