// Image writes a container image of downloadfs into a tarball that docker, podman and
// skopeo can load: an OCI layout, with the list that older versions of docker read. The
// same input gives the same bytes.
//
// The image holds the static program, the certificate authorities that Mozilla trusts,
// and the few files that programs look for. It has no fusermount3: root mounts without
// it, and an ordinary user in a container gets a mounted /dev/fd/N.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the static program")
	flag.StringVar(&o.license, "license", "", "the license text")
	flag.StringVar(&o.arch, "arch", "amd64", "the processor that it is for")
	flag.StringVar(&o.version, "version", "", "its version")
	epoch := flag.Int64("epoch", 0, "the time of all files, in seconds since 1970")
	flag.StringVar(&o.output, "output", "", "the tarball to write")
	flag.Parse()
	o.time = time.Unix(*epoch, 0).UTC()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

type options struct {
	binary, license, arch, version, output string
	time                                   time.Time
}

func (o options) run() error {
	program, err := os.ReadFile(o.binary)
	if err != nil {
		return err
	}
	license, err := os.ReadFile(o.license)
	if err != nil {
		return err
	}
	// The program is a layer of its own: the other one is the same for many versions.
	base, err := o.layer([]file{
		{name: "etc", mode: 0o755}, {name: "etc/ssl", mode: 0o755}, {name: "etc/ssl/certs", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		{name: "etc/nsswitch.conf", mode: 0o644, content: []byte("hosts: files dns\n")},
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n")},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		{name: "mnt", mode: 0o755}, {name: "root", mode: 0o700}, {name: "tmp", mode: 0o1777},
		{name: "var", mode: 0o755}, {name: "var/cache", mode: 0o755}, {name: "var/lib", mode: 0o755},
	})
	if err != nil {
		return err
	}
	top, err := o.layer([]file{
		{name: "usr", mode: 0o755}, {name: "usr/bin", mode: 0o755}, {name: "usr/bin/downloadfs", mode: 0o755, content: program},
		{name: "usr/share", mode: 0o755}, {name: "usr/share/doc", mode: 0o755}, {name: "usr/share/doc/downloadfs", mode: 0o755},
		{name: "usr/share/doc/downloadfs/LICENSE", mode: 0o644, content: license},
	})
	if err != nil {
		return err
	}
	img, err := o.image(base, top)
	if err != nil {
		return err
	}
	return o.write(img)
}

// authorities returns the certificate authorities as PEM.
func authorities() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // only in part trusted, which a PEM file cannot say
		}
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
	}
	return b.Bytes()
}

// file is a file of a layer, or a directory if it has no content.
type file struct {
	name    string
	mode    int64
	content []byte
}

func (o options) layer(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: o.time, Format: tar.FormatUSTAR}
		if f.content == nil {
			h.Typeflag, h.Name = tar.TypeDir, f.name+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9))
}

func (o options) image(layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for i, by := range []string{"certificate authorities, users, directories", "downloadfs " + o.version} {
		var err error
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layers[i], MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: o.time}, CreatedBy: by}}); err != nil {
			return nil, err
		}
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = "linux", o.arch, v1.Time{Time: o.time}
	if o.arch == "arm64" {
		cfg.Variant = "v8"
	}
	cfg.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/downloadfs"},
		Cmd:        []string{"help"},
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"XDG_STATE_HOME=/var/lib", "XDG_CACHE_HOME=/var/cache",
		},
		WorkingDir: "/",
		StopSignal: "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "downloadfs",
			"org.opencontainers.image.description": "mounts the Downloads of an Alfresco content server as a file system",
			"org.opencontainers.image.version":     o.version,
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.created":     o.time.Format(time.RFC3339),
		},
	}
	return mutate.ConfigFile(img, cfg)
}

// write writes the tarball.
func (o options) write(img v1.Image) (err error) {
	dir, err := os.MkdirTemp("", "downloadfs-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := "downloadfs:" + o.version
	if err := path.AppendImage(img, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: o.arch}), layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": o.version,
		"io.containerd.image.name":          "docker.io/library/" + name,
	})); err != nil {
		return err
	}
	list, err := dockerList(img, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), list, 0o644); err != nil {
		return err
	}
	out, err := os.Create(o.output)
	if err != nil {
		return err
	}
	return errors.Join(o.tar(out, os.DirFS(dir)), out.Close())
}

// dockerList returns the file in which docker looks for what is in a tarball.
func dockerList(img v1.Image, name string) ([]byte, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{blob(manifest.Config.Digest), []string{name}, nil}
	for _, l := range manifest.Layers {
		entry.Layers = append(entry.Layers, blob(l.Digest))
	}
	return json.Marshal([]any{entry})
}

func (o options) tar(to io.Writer, from iofs.FS) error {
	w := tar.NewWriter(to)
	err := iofs.WalkDir(from, ".", func(name string, e iofs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: o.time, Format: tar.FormatUSTAR}
		if e.IsDir() {
			return w.WriteHeader(h)
		}
		content, err := iofs.ReadFile(from, name)
		if err != nil {
			return err
		}
		h.Typeflag, h.Name, h.Mode, h.Size = tar.TypeReg, name, 0o644, int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	return errors.Join(err, w.Close())
}
