package main

import (
	"net"
	"os"
	"strings"
)

// notify tells the service manager a state such as "READY=1", as sd_notify(3)
// does. Without $NOTIFY_SOCKET it does nothing; it never blocks the mount.
func notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if abstract, ok := strings.CutPrefix(name, "@"); ok {
		name = "\x00" + abstract
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
