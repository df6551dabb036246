package main

import "github.com/coreos/go-systemd/v22/daemon"

// notify sends the service manager a state such as "READY=1". Without $NOTIFY_SOCKET
// it does nothing. It never blocks the mount.
func notify(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}
