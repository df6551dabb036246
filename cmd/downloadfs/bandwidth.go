package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"downloadfs/meter"
)

// bandwidthFile is the file of a mount that tells its limit and takes another one.
const bandwidthFile = ".bandwidth"

func newBandwidthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bandwidth [RATE [MOUNTPOINT|PROFILE…]]",
		Short: "Show or change how fast running mounts fetch",
		Long: `bandwidth changes the limit of the mounts that you name, or of the only one: a RATE
in bytes a second, such as 500K or 5M, or off. Without a RATE it shows the limits. A
limit is for everything that a mount fetches from its server, taken together. It holds
until the mount ends; --bandwidth of mount is the limit to begin with.`,
		Example: `  downloadfs bandwidth 2M
  downloadfs bandwidth off ~/alfresco`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return showBandwidth(cmd)
			}
			var r byteRate
			if err := r.Set(args[0]); err != nil {
				return exitf(exitUsage, "invalid value %q for RATE: %w", args[0], err)
			}
			mountpoints, err := answeringMounts(cmd, args[1:])
			if err != nil {
				return err
			}
			if len(args) == 1 && len(mountpoints) > 1 { // root sees those of others, too
				return exitf(exitUsage, "several are mounted; name which: %s", strings.Join(mountpoints, ", "))
			}
			for _, m := range mountpoints {
				if err := setBandwidth(m, r); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(m), r.String())
			}
			return nil
		},
	}
	addConfigFlag(cmd.Flags())
	return cmd
}

func setBandwidth(mountpoint string, r byteRate) error {
	f, err := os.OpenFile(filepath.Join(mountpoint, bandwidthFile), os.O_WRONLY, 0)
	if err == nil {
		_, err = fmt.Fprintln(f, r.String())
		err = errors.Join(err, f.Close())
	}
	if errors.Is(err, os.ErrNotExist) {
		if unmounted(mountpoint) {
			return notMounted(mountpoint)
		}
		err = errors.New("it is of a version that cannot change its limit; mount it again")
	}
	if err != nil {
		return exitf(exitMountpoint, "cannot limit the mount on %s: %w", mountpoint, err)
	}
	return nil
}

func showBandwidth(cmd *cobra.Command) error {
	mountpoints, err := answeringMounts(cmd, nil)
	if err != nil {
		return err
	}
	for _, m := range mountpoints {
		text, err := os.ReadFile(filepath.Join(m, bandwidthFile))
		switch {
		case errors.Is(err, os.ErrNotExist) && unmounted(m):
			text = []byte("unmounted meanwhile\n")
		case err != nil:
			text = fmt.Appendf(nil, "%v\n", cause(err))
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s", printable(m), text)
	}
	return nil
}

// cause returns the reason of an error without the path that it repeats.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// bandwidthSetting is the limit of this process's mount as a file of it.
type bandwidthSetting struct {
	meter *meter.Meter
	log   *slog.Logger
}

func (s bandwidthSetting) Text() string {
	r := byteRate(s.meter.Limit())
	return r.String()
}

func (s bandwidthSetting) Set(text string) error {
	var r byteRate
	if err := r.Set(text); err != nil {
		return err
	}
	s.meter.SetLimit(int64(r))
	s.log.Info("bandwidth limit changed", "op", "bandwidth", "rate", r.String())
	return nil
}
