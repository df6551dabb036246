package share

import (
	"context"
	"encoding/json"
	"errors"
	iofs "io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	// leaseTTL is how long a lease lasts that is not renewed.
	leaseTTL = 30 * time.Second
	// leaseBeat is how often its holder renews it.
	leaseBeat = 10 * time.Second
	// maxLease bounds the object of a link.
	maxLease = 4 << 10
)

// A lease is a chain of objects, the links, whose numbers grow. Whoever creates the
// next link holds the lease: its holder to renew it, or another mount when the latest
// link is older than leaseTTL. Only one can create a link, so only one can succeed.
// The holder deletes the links before its own. So the latest link is always there, and
// its time, by the store's own clock, says whether the holder lives.

// leaseRecord is the content of a link.
type leaseRecord struct {
	Holder string `json:"holder"` // of this run of a mount, random
	// Pieces is how many pieces of the archive, in their order, are in the store.
	Pieces int `json:"pieces"`
	// Released: nobody holds the lease.
	Released bool `json:"released,omitempty"`
}

// lease is a lease that this mount holds. One goroutine uses it.
type lease struct {
	s      *Share
	prefix string
	link   uint64    // the latest, which is ours
	at     time.Time // when it was created, by this machine's clock, which also runs while it sleeps
}

// chain is what a store has of a lease.
type chain struct {
	links []uint64
	last  Object
}

func (c chain) link() uint64 {
	if len(c.links) == 0 {
		return 0
	}
	return c.links[len(c.links)-1]
}

func (s *Share) chain(ctx context.Context, prefix string) (c chain, err error) {
	objects, err := s.store.list(ctx, prefix)
	for _, o := range objects {
		n, bad := strconv.ParseUint(strings.TrimLeft(path.Base(o.Key), "0"), 10, 63)
		if bad != nil || o.Key != linkKey(prefix, n) {
			continue // not ours; prune removes it
		}
		if n > c.link() { // in order
			c.links, c.last = append(c.links, n), o
		}
	}
	return c, err
}

// acquire tries to get a lease. It returns nil and how many pieces its holder has
// written if another mount has it, or has had it until less than patience ago.
func (s *Share) acquire(ctx context.Context, prefix string, pieces int, patience time.Duration) (*lease, int, error) {
	c, err := s.chain(ctx, prefix)
	if err != nil {
		return nil, 0, err
	}
	if c.link() > 0 {
		r := s.linkOf(ctx, c.last.Key)
		now, err := s.clock.now(ctx)
		if err != nil {
			return nil, 0, err
		}
		if !r.Released {
			patience += leaseTTL
		}
		if now.Sub(c.last.ModTime) < patience {
			return nil, max(r.Pieces, 0), nil
		}
	}
	l := &lease{s: s, prefix: prefix, link: c.link()}
	switch err := l.next(ctx, leaseRecord{Pieces: pieces}); {
	case errors.Is(err, errLost):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	// What was listed may have been old: the chain may have grown, and its old links
	// may have gone, so that an old number was free again.
	if c, err = s.chain(ctx, prefix); err == nil && c.link() > l.link {
		_ = s.store.remove(ctx, linkKey(prefix, l.link))
		return nil, 0, nil
	}
	for _, n := range c.links {
		if n < l.link {
			_ = s.store.remove(ctx, linkKey(prefix, n))
		}
	}
	return l, 0, err
}

// linkOf returns what a link says, and nothing if it cannot be read.
func (s *Share) linkOf(ctx context.Context, key string) (r leaseRecord) {
	p, err := s.store.read(ctx, key, maxLease)
	if err != nil || json.Unmarshal(p, &r) != nil {
		return leaseRecord{}
	}
	return r
}

// next creates the chain's next link. It returns errLost if another mount has done so.
func (l *lease) next(ctx context.Context, r leaseRecord) error {
	began := time.Now().Round(0)
	r.Holder = l.s.mount
	p, err := json.Marshal(r)
	if err != nil {
		return err
	}
	err = l.s.store.create(ctx, linkKey(l.prefix, l.link+1), p)
	if errors.Is(err, iofs.ErrExist) {
		// The store may have done what it seemed to fail at.
		if l.s.linkOf(ctx, linkKey(l.prefix, l.link+1)).Holder != l.s.mount {
			return errLost
		}
		err = nil
	}
	if err == nil {
		l.link++
		l.at = began
	}
	return err
}

// renew renews the lease. It returns errLost if another mount has taken it over. A
// store that is in trouble is no reason to give the lease up.
func (l *lease) renew(ctx context.Context, pieces int) error {
	before := l.at
	err := l.next(ctx, leaseRecord{Pieces: pieces})
	if err == nil && time.Now().Round(0).Sub(before) >= leaseTTL {
		// This mount was suspended. Another may have taken over, and have deleted the
		// link of this number already.
		if c, listed := l.s.chain(ctx, l.prefix); listed == nil && c.link() > l.link {
			_ = l.s.store.remove(ctx, linkKey(l.prefix, l.link))
			return errLost
		}
	}
	if err == nil {
		_ = l.s.store.remove(ctx, linkKey(l.prefix, l.link-1))
	}
	if errors.Is(err, errLost) {
		return err
	}
	return nil
}

// release ends the lease, so that nobody has to wait until it expires. The chain stays:
// if its numbers began again, a holder that was suspended could go on with an old one.
func (l *lease) release(ctx context.Context) {
	if l.next(ctx, leaseRecord{Released: true}) == nil {
		_ = l.s.store.remove(ctx, linkKey(l.prefix, l.link-1))
	}
}

// giveUp is release for a lease that is not used any more, whatever its user's context.
func (l *lease) giveUp() {
	ctx, cancel := context.WithTimeout(context.Background(), releasedWithin)
	defer cancel()
	l.release(ctx)
}
