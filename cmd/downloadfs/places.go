package main

import (
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkPlaces refuses places that the zip or its files cannot go to. It asks nothing
// of the server, which would zip in vain.
func (o *getOptions) checkPlaces() error {
	switch o.output {
	case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1": // a rename would replace the link
		o.output = "-"
	}
	if o.output == "-" {
		if o.extract != "" {
			return exitf(exitUsage, "--extract needs a file: --output - is standard output")
		}
		if outputClosed() {
			return exitf(exitUsage, "--output - is standard output, which is closed; name a file, or /dev/null to throw the zip away")
		}
		return nil
	}
	if o.extract != "" {
		if err := checkFolder("--extract", o.extract, true); err != nil {
			return err
		}
	}
	if o.output == "" {
		if o.extract == "" {
			return checkFolder("the current directory", ".", false)
		}
		return nil
	}
	if o.extract != "" && filepath.Clean(o.extract) == filepath.Clean(o.output) {
		return exitf(exitUsage, "--extract and --output are both %s; give the zip another name", o.output)
	}
	info, err := os.Stat(o.output)
	switch {
	case err == nil && info.IsDir():
		return exitf(exitUsage, "--output %s is a directory; name a file in it", o.output)
	case err == nil && !info.Mode().IsRegular() && o.extract != "":
		return exitf(exitUsage, "--extract needs a file: --output %s is not a file", o.output)
	case err == nil && !info.Mode().IsRegular():
		return nil // a device or a pipe
	}
	if link, linkErr := os.Lstat(o.output); linkErr == nil && link.Mode()&os.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(o.output)
		if err != nil {
			return exitf(exitUsage, "--output %s is a link that leads nowhere; remove it, or name another file", o.output)
		}
		o.output = target // the file is replaced, not the link
	}
	return checkFolder("--output "+o.output+":", filepath.Dir(o.output), false)
}

// checkFolder refuses what is no directory that this user can write into. A missing
// one is right if it will be made and can be. what begins the message.
func checkFolder(what, dir string, made bool) error {
	info, err := os.Stat(dir)
	for made && errors.Is(err, iofs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		info, err = os.Stat(dir)
	}
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return exitf(exitUsage, "%s there is no directory %s; make it first", what, dir)
	case err == nil && !info.IsDir(), errors.Is(err, unix.ENOTDIR):
		return exitf(exitUsage, "%s %s is a file, not a directory; choose another", what, dir)
	case err != nil:
		return exitf(exitUsage, "%s %w", what, err)
	case unix.Access(dir, unix.W_OK|unix.X_OK) != nil:
		return exitf(exitUsage, "%s this user cannot write into %s", what, dir)
	}
	return nil
}
