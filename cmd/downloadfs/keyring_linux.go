package main

import (
	"os"
	"path/filepath"
)

// hasKeyring reports whether there is a session bus, which a keyring needs. Without
// this check the library would start a bus.
func hasKeyring() bool {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	return dir != "" && fileExists(filepath.Join(dir, "bus"))
}
