package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"downloadfs/download"
)

// Create asks for a zip of nodes. If it is not known whether the server carried out the
// request, it is not sent again and Create returns ErrUncertain.
func (c *Client) Create(ctx context.Context, nodes []download.NodeID) (download.Progress, error) {
	op := operate("create", "create download")
	op.confirm = confirmList
	if len(nodes) == 0 {
		return download.Progress{}, invalid("%s: no nodes", op.text)
	}
	body, err := json.Marshal(createRequest{NodeIDs: nodes})
	if err != nil {
		return download.Progress{}, invalid("%s: %v", op.text, err)
	}
	var p download.Progress
	err = c.call(ctx, request{
		op: op, method: http.MethodPost, url: c.core + "/downloads", body: body, once: true,
	}, func(body []byte) (f *failure) {
		p, f = decodeDownload(body)
		return f
	})
	for _, n := range nodes {
		if err != nil && strings.Contains(err.Error(), string(n.Bare())) {
			err = notThere(err, "node "+string(n.Bare()), "id")
		}
	}
	return p, err
}

// Get returns the download's progress.
func (c *Client) Get(ctx context.Context, id download.ID) (download.Progress, error) {
	var p download.Progress
	err := c.call(ctx, request{
		op: on("get", "get download", id), method: http.MethodGet, url: c.core + "/downloads/" + url.PathEscape(string(id)),
	}, func(body []byte) (f *failure) {
		if p, f = decodeDownload(body); f == nil && p.ID != id {
			f = protocolFailure("the server answers for download %s", p.ID)
		}
		return f
	})
	return p, err
}

// Cancel asks the server to stop zipping. ErrNotFound can also mean that an earlier
// attempt had its effect but its answer was lost.
func (c *Client) Cancel(ctx context.Context, id download.ID) error {
	return c.call(ctx, request{
		op: on("cancel", "cancel download", id), method: http.MethodDelete, url: c.core + "/downloads/" + url.PathEscape(string(id)),
	}, nil)
}

// Delete removes the download's node and zip for good, past the trashcan. ErrNotFound
// can also mean that an earlier attempt had its effect but its answer was lost.
func (c *Client) Delete(ctx context.Context, id download.ID) error {
	return c.call(ctx, request{
		op: on("delete", "delete download", id), method: http.MethodDelete,
		url: c.core + "/nodes/" + url.PathEscape(string(id)) + "?permanent=true",
	}, nil)
}
