package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"downloadfs/fs"
)

func newUnmountCommand() *cobra.Command {
	var lazy bool
	cmd := &cobra.Command{
		Use:     "unmount [flags] MOUNTPOINT|PROFILE",
		Aliases: []string{"umount"},
		Short:   "Unmount, and tell which processes hold a busy mount",
		Long: `unmount ends a mount of downloadfs, even one whose process is gone. If the mount is in
use, unmount fails and says which processes use it; --lazy detaches it all the same.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := namedMountpoint(cmd, args[0])
			if err != nil {
				return fmt.Errorf("cannot unmount %s: %w", args[0], err)
			}
			return unmount(path, lazy)
		},
		ValidArgsFunction: completeMounts,
	}
	addConfigFlag(cmd.Flags())
	cmd.Flags().BoolVar(&lazy, "lazy", false, "detach now, even if processes still use the mount")
	return cmd
}

// unmount removes the mount on path, which is absolute and without links.
func unmount(path string, lazy bool) error {
	m, mounted, err := mountAt(path)
	if err != nil {
		return fmt.Errorf("cannot list mounts: %w", err)
	}
	if !mounted {
		return exitf(exitMountpoint, "nothing is mounted on %s", path)
	}
	if !m.ours() {
		return exitf(exitMountpoint, "%s is a mount of %s (%s), not of downloadfs; use umount", path, m.source, m.fsType)
	}
	// A mount that this process itself is in would be busy because of it.
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("cannot unmount %s: %w", path, err)
	}
	// Looked up before: a mount that begins afterwards may get the device's number.
	others := alsoOn(m)
	err = fs.Detach(path, lazy)
	switch {
	case errors.Is(err, fs.ErrBusy):
		return fmt.Errorf("%s is busy, %s; end them, or use --lazy", path, holdersText(path))
	case err != nil && unmounted(path):
		return exitf(exitMountpoint, "nothing is mounted on %s any more", path)
	case err != nil:
		return fmt.Errorf("cannot unmount %s: %w", path, err)
	}
	if others = slices.DeleteFunc(others, unmounted); len(others) > 0 {
		return fmt.Errorf("%s is unmounted, but the same file system is also on %s; unmount that, too", path, strings.Join(others, ", "))
	}
	return nil
}
