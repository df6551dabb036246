package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"downloadfs/download"
)

// Archive describes the zip of a DONE download. It returns ErrNotReady while there is
// no zip.
func (c *Client) Archive(ctx context.Context, id download.ID) (download.ArchiveInfo, error) {
	var a download.ArchiveInfo
	err := c.call(ctx, request{
		op: on("archive", "look up archive of", id), method: http.MethodGet,
		url: c.core + "/nodes/" + url.PathEscape(string(id)) + "?fields=id,name,content,modifiedAt",
	}, func(body []byte) (f *failure) {
		a, f = decodeArchive(id, body)
		return f
	})
	return a, err
}

// Resolve returns the node at a path. A path that starts with / is relative to the
// repository's root (Company Home, which is not part of the path). A path that starts
// with -root-, -my- or -shared- is relative to that folder.
func (c *Client) Resolve(ctx context.Context, path string) (download.NodeID, error) {
	root, rest, ok := splitPath(path)
	if !ok {
		return "", invalid("path %.128q must begin with /, -root-/, -my-/ or -shared-/", path)
	}
	query := "?fields=id"
	if rest != "" {
		// The server reads + as a blank in one place and as itself in another.
		query += "&relativePath=" + strings.ReplaceAll(url.QueryEscape(rest), "+", "%20")
	}
	op := operate("resolve", "resolve "+c.scrub.clean(path))
	op.confirm = confirmList
	var id download.NodeID
	err := c.call(ctx, request{
		op: op, method: http.MethodGet, url: c.core + "/nodes/" + root + query,
	}, func(body []byte) (f *failure) {
		id, f = decodeNode(body)
		return f
	})
	return id, notThere(err, c.scrub.clean(path), "path")
}

// splitPath splits a path into the alias of its root and the rest.
func splitPath(path string) (root, rest string, ok bool) {
	root, rest, _ = strings.Cut(path, "/")
	switch root {
	case "":
		root, ok = "-root-", path != ""
	case "-root-", "-my-", "-shared-":
		ok = true
	}
	return root, strings.Trim(rest, "/"), ok
}
