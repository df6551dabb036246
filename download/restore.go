package download

import (
	"errors"
	"fmt"
	"log/slog"

	"downloadfs/download/journal"
)

// restored is what the journal remembers, oldest first.
type restored struct {
	downloads []storedDownload
	removals  []storedRemoval
}

type storedDownload struct {
	serial uint64
	record downloadRecord
	nodes  []NodeID
	plan   *assembly // may be nil
}

type storedRemoval struct {
	serial uint64
	record removalRecord
}

// restore reads the journal. It leaves damaged records out.
func restore(j *journal.Journal, log *slog.Logger) (restored, error) {
	r := restorer{log: log, nodes: make(map[uint64][]NodeID), plans: make(map[uint64]*assembly), ids: make(map[ID]bool), names: make(map[string]bool)}
	err := j.Load(r.take)
	return r.restored, err
}

type restorer struct {
	restored
	log   *slog.Logger
	nodes map[uint64][]NodeID
	plans map[uint64]*assembly
	ids   map[ID]bool
	names map[string]bool
}

func (r *restorer) take(bucket journal.Bucket, serial uint64, record []byte) error {
	switch bucket {
	case journal.Nodes:
		nodes, err := decodeNodes(record)
		r.nodes[serial] = nodes
		return err
	case journal.Plans:
		plan, err := decodePlan(record)
		if err == nil {
			r.plans[serial] = plan
		}
		return err
	case journal.Parts:
		return r.part(serial, record)
	case journal.Downloads:
		return r.download(serial, record)
	case journal.Removals:
		return r.removal(serial, record)
	}
	return fmt.Errorf("bucket %s is unknown", bucket)
}

func (r *restorer) download(serial uint64, record []byte) error {
	rec, err := decodeDownload(record)
	if err != nil {
		return err
	}
	if r.ids[rec.ID] {
		return fmt.Errorf("download %s is recorded twice", rec.ID)
	}
	if rec.Name != "" && r.names[rec.Name] {
		r.log.Warn("the name is taken; using the id", "op", "journal", "download", rec.ID)
		rec.Name = ""
	}
	r.ids[rec.ID], r.names[rec.Name] = true, true
	r.downloads = append(r.downloads, storedDownload{serial, rec, r.nodes[serial], r.plans[serial]})
	return nil
}

func (r *restorer) part(serial uint64, record []byte) error {
	rec, err := decodePart(record)
	if err != nil {
		return err
	}
	if plan := r.plans[rec.Of]; plan == nil || !plan.restorePart(serial, rec) {
		if !rec.Fetched { // at least the server does not keep it
			r.removals = append(r.removals, storedRemoval{0, removalRecord{V: recordVersion, ID: rec.ID, Cancel: true, Delete: true}})
		}
		return errors.New("no plan has this part")
	}
	return nil
}

func (r *restorer) removal(serial uint64, record []byte) error {
	rec, err := decodeRemoval(record)
	if err != nil {
		return err
	}
	if rec.Delete && r.ids[rec.ID] {
		return fmt.Errorf("download %s is both listed and removed", rec.ID)
	}
	r.removals = append(r.removals, storedRemoval{serial, rec})
	return nil
}
