package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Check says what is wrong with an address for Listen, as the end of a sentence that
// begins with the address.
func Check(address string) error {
	_, _, err := parse(address)
	return err
}

// parse returns a network and an address for net.Listen.
func parse(address string) (network, where string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return "", "", errors.New("is not an absolute path; write it like unix:/run/downloadfs.sock")
		}
		return "unix", filepath.Clean(path), nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", errors.New("is not an address; write it like 127.0.0.1:9470 or unix:/run/downloadfs.sock")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", errors.New("has no port; write it like 127.0.0.1:9470; port 0 takes a free one")
	}
	if !local(host) {
		return "", "", errors.New("is not this machine's own: others on the network could look into the mount's process; " +
			"listen on 127.0.0.1 or [::1], or on a unix socket, and let a proxy with a login stand in front of it")
	}
	if host == "localhost" { // whatever the resolver says
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

// local reports whether host can only be this machine.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// Listen listens on unix:PATH, on a socket that only this user can connect to, or on
// a loopback HOST:PORT. It takes the place of a socket that nobody listens on any more.
func Listen(address string) (net.Listener, error) {
	network, where, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("%s %w", address, err)
	}
	config := net.ListenConfig{}
	if network == "unix" {
		if err := clearSocket(where); err != nil {
			return nil, err
		}
		// Linux gives the file the mode that the socket has before it is bound.
		// Elsewhere this fails or does nothing, and Chmod follows.
		config.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
		}
	}
	listener, err := config.Listen(context.Background(), network, where)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, cause(err))
	}
	if network == "unix" {
		if err := os.Chmod(where, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot close %s to others: %w", where, err), listener.Close())
		}
	}
	return listener, nil
}

// clearSocket removes a socket that a process has left behind.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot listen on %s: %w", path, cause(err))
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("cannot listen on %s: there is a file that is not a socket; choose another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("cannot listen on %s: another process does; choose another path", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("cannot listen on %s: %w", path, cause(err))
	}
	return os.Remove(path)
}

// cause returns the reason of an error without the address that it repeats.
func cause(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
