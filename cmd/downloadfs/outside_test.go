package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nothing that a mount keeps can be where the mount hides it.
func TestCheckOutside(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	mountpoint := filepath.Join(dir, "mnt")
	require.NoError(t, os.MkdirAll(filepath.Join(mountpoint, "there"), 0o700))
	require.NoError(t, os.Symlink(mountpoint, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Join(mountpoint, "there"), filepath.Join(dir, "deep")))
	for name, c := range map[string]struct {
		set  func(o *mountOptions, path string)
		path string
		ok   bool
	}{
		"cache":             {func(o *mountOptions, p string) { o.cacheDir = p }, mountpoint, false},
		"cache below":       {func(o *mountOptions, p string) { o.cacheDir = p }, mountpoint + "/a/b", false},
		"cache by a link":   {func(o *mountOptions, p string) { o.cacheDir = p }, dir + "/link/a", false},
		"cache into it":     {func(o *mountOptions, p string) { o.cacheDir = p }, dir + "/deep", false},
		"cache beside":      {func(o *mountOptions, p string) { o.cacheDir = p }, mountpoint + "2", true},
		"cache with dots":   {func(o *mountOptions, p string) { o.cacheDir = p }, mountpoint + "/..x", false},
		"cache above":       {func(o *mountOptions, p string) { o.cacheDir = p }, dir, true},
		"state":             {func(o *mountOptions, p string) { o.stateDir = p }, mountpoint + "/state", false},
		"log":               {func(o *mountOptions, p string) { o.logFile = p }, mountpoint + "/log", false},
		"metrics":           {func(o *mountOptions, p string) { o.metrics = "unix:" + p }, mountpoint + "/m", false},
		"metrics elsewhere": {func(o *mountOptions, p string) { o.metrics = p }, "127.0.0.1:0", true},
		"share":             {func(o *mountOptions, p string) { o.share.url = "file://" + p }, mountpoint + "/share", false},
		"share beside":      {func(o *mountOptions, p string) { o.share.url = "file://" + p }, dir + "/share", true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, at := range []string{mountpoint, filepath.Join(dir, "link")} {
				o := mountOptions{}
				c.set(&o, c.path)
				err := o.checkOutside(at)
				if c.ok {
					assert.NoError(t, err)
					continue
				}
				require.ErrorContains(t, err, "is in the mountpoint")
				assert.Equal(t, exitUsage, exitCode(err))
			}
			o := mountOptions{}
			c.set(&o, c.path)
			assert.NoError(t, o.checkOutside("/dev/fd/5"))
		})
	}
}
