package repository

import (
	"context"
	"net/http"
)

// checkStore asks [Config.Refuse] about every file in a download of paths, as
// Alfresco looks for content in cold storage before it zips. Like Alfresco, it looks
// only at the first 500 nodes.
func (s *Repository) checkStore(ctx context.Context, a *account, paths []string) error {
	if s.cfg.Refuse == nil {
		return nil
	}
	c := &storeCheck{refuse: s.cfg.Refuse, left: 500}
	return s.tree.export(ctx, a, paths, c)
}

type storeCheck struct {
	refuse func(string) int
	left   int
}

var _ visitor = (*storeCheck)(nil)

func (c *storeCheck) folder(context.Context, node, string) error { c.left--; return nil }

func (c *storeCheck) file(_ context.Context, n node, _ string) error {
	if c.left--; c.left < 0 {
		return nil
	}
	return storeError(c.refuse(n.path))
}

// storeError returns the answer for content that the store does not hand out.
func storeError(status int) error {
	switch status {
	case 0:
		return nil
	case http.StatusPreconditionFailed:
		return &apiError{status: status, key: "framework.exception.ArchivedContent",
			msg: "One or more nodes' content is archived and not accessible."}
	case http.StatusConflict:
		return &apiError{status: status, key: "framework.exception.RestoreInProgress",
			msg: "Content restore is already in progress."}
	}
	return &apiError{status: status, msg: http.StatusText(status)}
}
