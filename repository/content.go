package repository

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// content is what a node's content property says, and how to read the content.
type content struct {
	id       string
	path     string // in the served folder; "" for a zip
	name     string
	mimeType string
	size     int64 // -1 while there is none
	modified time.Time
	open     func() (*os.File, error)
}

// getContent is GET /nodes/{id}/content.
func (s *Repository) getContent(w http.ResponseWriter, r *http.Request, a *account) error {
	n, d, err := s.resolve(r.PathValue("id"), a)
	if err != nil {
		return err
	}
	var c content
	switch {
	case d != nil:
		v := s.downloads.view(d)
		c = content{id: d.id, name: d.name, mimeType: mimeBinary, size: -1, modified: v.modified,
			open: func() (*os.File, error) { return s.downloads.openZip(d) }}
		if v.Status == statusDone {
			c.size = v.size
		}
	case n.folder:
		return badRequest("NodeId of content is expected: %s", n.id)
	default:
		c = content{id: n.id, path: n.path, name: n.name, mimeType: mimeType(n.name), size: n.size,
			modified: n.modified, open: func() (*os.File, error) { return s.tree.open(n.path) }}
	}
	return s.sendContent(w, r, c)
}

// sendContent streams c as ContentStreamer does. It checks If-Modified-Since before
// it knows whether there is any content.
func (s *Repository) sendContent(w http.ResponseWriter, r *http.Request, c content) error {
	if since, ok := modifiedSince(r); ok && !c.modified.Truncate(time.Second).After(since) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.path != "" && s.cfg.Refuse != nil {
		if err := storeError(s.cfg.Refuse(c.path)); err != nil {
			return err
		}
	}
	if c.size < 0 {
		return noContent(c.id)
	}
	f, err := c.open()
	if err != nil {
		return noContent(c.id)
	}
	defer f.Close()

	h := w.Header()
	if attach(r, c.mimeType) {
		h.Set("Content-Disposition", contentDisposition(c.name))
	}
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", c.mimeType+";charset=UTF-8")
	out := contentWriter{w: w, r: r, f: f, size: c.size, repository: s}

	if spec, ok := requestedRange(r); ok && len(spec) > rangeHeaderMin {
		spec = spec[rangeHeaderMin:]
		if !strings.Contains(spec, ",") {
			return out.single(spec)
		}
		if done, err := out.multiple(spec, c.mimeType); done {
			return err
		}
	}
	h.Set("Content-Range", byteRange{0, c.size - 1}.contentRange(c.size)) // on a 200, and 0--1/0 if empty
	h.Set("Content-Length", strconv.FormatInt(c.size, 10))
	h.Set("Cache-Control", "max-age=0, must-revalidate")
	h.Set("ETag", fmt.Sprintf(`"%d"`, c.modified.UnixMilli()))
	h.Set("Last-Modified", c.modified.UTC().Format(http.TimeFormat))
	w.WriteHeader(http.StatusOK)
	return out.send(byteRange{0, c.size - 1})
}

func noContent(id string) error {
	return &apiError{status: http.StatusNotFound, msg: "Unable to locate content for node ref workspace://SpacesStore/" +
		id + " (property: {http://www.alfresco.org/model/content/1.0}content)"}
}

// requestedRange returns the requested range. A Content-Range header, which is meant
// for answers, wins over Range.
func requestedRange(r *http.Request) (string, bool) {
	for _, name := range []string{"Content-Range", "Range"} {
		if v := r.Header.Values(name); len(v) > 0 {
			return v[0], true
		}
	}
	return "", false
}

// modifiedSince reads If-Modified-Since. It ignores a value that is no date.
func modifiedSince(r *http.Request) (time.Time, bool) {
	v := r.Header.Get("If-Modified-Since")
	if t, err := http.ParseTime(v); err == nil {
		return t, true
	}
	t, err := time.Parse(time.RFC1123Z, v)
	return t, err == nil
}

// attach reports whether the content is sent as an attachment. It always is, except
// for attachment=false with a type that a browser shows safely.
func attach(r *http.Request, mimeType string) bool {
	if !strings.EqualFold(r.URL.Query().Get("attachment"), "false") {
		return true
	}
	return !slices.Contains([]string{"application/pdf", "image/jpeg", "image/gif", "image/png",
		"image/tiff", "image/bmp"}, mimeType)
}
