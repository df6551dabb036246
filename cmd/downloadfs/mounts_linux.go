package main

import (
	"fmt"

	"github.com/moby/sys/mountinfo"
)

// mounts lists the mounts of this process's namespace, lowest first, without
// asking any of their file systems.
func mounts() ([]mountEntry, error) {
	list, err := mountinfo.GetMounts(nil)
	return mountEntries(list), err
}

func mountEntries(list []*mountinfo.Info) []mountEntry {
	all := make([]mountEntry, 0, len(list))
	for _, m := range list {
		device := fmt.Sprintf("%d:%d", m.Major, m.Minor)
		all = append(all, mountEntry{path: m.Mountpoint, fsType: m.FSType, source: m.Source, device: device})
	}
	return all
}
