package fs

import (
	"context"

	"downloadfs/download"
)

// item is what the tree needs to know about one download. [download.Download]
// implements it.
type item interface {
	ID() download.ID
	Serial() uint64
	NodeIDs() []download.NodeID
	Snapshot() download.Snapshot
	Look()
	Wait(ctx context.Context) error
}

var _ item = (*download.Download)(nil)

// domain is what the tree needs of the Manager, in terms of items. With it this
// package's tests can script every answer. The contracts are in [download.Manager].
type domain interface {
	Downloads() []item
	Lookup(name string) (item, bool)
	Find(id download.ID) (item, bool)
	Create(ctx context.Context, l download.List) (item, error)
	LastOutcome() (download.ID, error)
	Adopt(ctx context.Context, id download.ID) (item, error)
	Rename(d item, name string) error
	Discard(d item) error
	Remove(d item) error
	OpenArchive(d item) (download.Archive, error)
	Usage() download.Usage
	Changes() (changed []item, more <-chan struct{})
}

// manager adapts the Manager to domain. Every item it is given is one it gave out.
type manager struct{ *download.Manager }

var _ domain = manager{}

func (m manager) Downloads() []item {
	ds := m.Manager.Downloads()
	items := make([]item, len(ds))
	for i, d := range ds {
		items[i] = d
	}
	return items
}

func (m manager) Lookup(name string) (item, bool) {
	d, ok := m.Manager.Lookup(name)
	if !ok {
		return nil, false
	}
	return d, true
}

func (m manager) Find(id download.ID) (item, bool) {
	d, ok := m.Manager.Find(id)
	if !ok {
		return nil, false
	}
	return d, true
}

func (m manager) Create(ctx context.Context, l download.List) (item, error) {
	d, err := m.Manager.Create(ctx, l)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (m manager) Adopt(ctx context.Context, id download.ID) (item, error) {
	d, err := m.Manager.Adopt(ctx, id)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (m manager) Rename(d item, name string) error {
	return m.Manager.Rename(d.(*download.Download), name)
}

func (m manager) Discard(d item) error { return m.Manager.Discard(d.(*download.Download)) }

func (m manager) Remove(d item) error { return m.Manager.Remove(d.(*download.Download)) }

func (m manager) OpenArchive(d item) (download.Archive, error) {
	return m.Manager.OpenArchive(d.(*download.Download))
}

func (m manager) Changes() ([]item, <-chan struct{}) {
	ds, more := m.Manager.Changes()
	items := make([]item, len(ds))
	for i, d := range ds {
		items[i] = d
	}
	return items, more
}
