package main

import "github.com/moby/sys/mountinfo"

// mounts lists the mounts of this process's namespace, lowest first, without
// asking any of their file systems.
func mounts() ([]mountEntry, error) {
	list, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	all := make([]mountEntry, 0, len(list))
	for _, m := range list {
		all = append(all, mountEntry{path: m.Mountpoint, fsType: m.FSType, source: m.Source})
	}
	return all, nil
}
