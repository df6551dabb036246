package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"downloadfs/config"
)

// target is what a command works on: a server, and perhaps where it is mounted.
type target struct {
	server     *url.URL
	mountpoint string         // "" if not given
	ofProfile  bool           // the mountpoint is from the profile, and is created if it is missing
	settings   config.Section // settings of the configuration that are not flags
}

// findTarget reads URL MOUNTPOINT or PROFILE [MOUNTPOINT], and sets cmd's flags from
// the configuration. A missing mountpoint is an error.
func findTarget(cmd *cobra.Command, args []string) (target, error) {
	t, err := findServer(cmd, args[0])
	if err != nil {
		return target{}, err
	}
	if len(args) > 1 {
		t.mountpoint, t.ofProfile = args[1], false
	}
	if t.mountpoint == "" {
		return target{}, exitf(exitUsage, "no mountpoint; say where to mount, as in '%s %s DIRECTORY'", cmd.CommandPath(), args[0])
	}
	return t, nil
}

// findServer reads URL or PROFILE, and sets cmd's flags from the configuration.
func findServer(cmd *cobra.Command, name string) (t target, err error) {
	if isURL(name) {
		if t.server, err = parseServerURL(name); err != nil {
			return t, err
		}
		t.settings, err = applyProfile(cmd, "")
		return t, err
	}
	if t.settings, err = applyProfile(cmd, name); err != nil {
		return t, err
	}
	address, ok := t.settings[keyURL]
	if !ok {
		return t, exitf(exitUsage, "the profile %q has no url", name)
	}
	if t.server, err = parseServerURL(address.Words[0]); err != nil {
		return t, exitf(exitUsage, "%s: %w", address.Origin, err)
	}
	if m, ok := t.settings[keyMountpoint]; ok {
		t.mountpoint, t.ofProfile = m.Words[0], true
	}
	return t, nil
}
