package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"downloadfs/download"
)

var _ download.Nodes = (*Client)(nil)

const (
	// pageSize is the largest page that servers give.
	pageSize = 1000
	// maxPage is how much of a page is read. A child's four fields are well below 4
	// KiB, however long its name.
	maxPage = pageSize * 4 << 10

	nodeFields = "fields=id,name,isFolder,content,modifiedAt"
)

// Node returns the node with the id.
func (c *Client) Node(ctx context.Context, id download.NodeID) (download.Node, error) {
	var n download.Node
	err := c.call(ctx, request{
		op: operate("node", "look up node "+c.scrub.clean(string(id))), method: http.MethodGet,
		url: c.core + "/nodes/" + url.PathEscape(string(id)) + "?" + nodeFields,
	}, func(body []byte) *failure {
		e, f := decodeEntry[nodeEntry](body)
		if f == nil {
			n, f = e.node()
		}
		if f == nil && n.ID != id {
			f = protocolFailure("the server answers for node %s instead of %s", n.ID, id)
		}
		return f
	})
	return n, err
}

// Children returns a page of a folder's children, in the order in which they were
// created. The server zips them in the same order.
func (c *Client) Children(ctx context.Context, folder download.NodeID, skip int) (page []download.Node, more bool, err error) {
	err = c.call(ctx, request{
		op: operate("children", "list folder "+c.scrub.clean(string(folder))), method: http.MethodGet,
		url: c.core + "/nodes/" + url.PathEscape(string(folder)) + "/children?orderBy=createdAt&" + nodeFields +
			fmt.Sprintf("&maxItems=%d&skipCount=%d", pageSize, skip),
		limit: maxPage,
	}, func(body []byte) (f *failure) {
		page, more, f = decodeChildren(body, skip)
		return f
	})
	return page, more, err
}
