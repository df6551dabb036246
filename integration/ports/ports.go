// Package ports finds ports of this machine for the servers of tests.
package ports

import (
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// Free returns an address of this machine, with a port that nobody has. It is the test's
// to its end: on Linux nobody else is given it. The test may start servers on it, one
// after the other. While none listens there, connections are refused.
func Free(t testing.TB) string {
	t.Helper()
	return FreeOf(t, "127.0.0.1")
}

// FreeOf is Free for one of this machine's IP addresses.
func FreeOf(t testing.TB, host string) string {
	t.Helper()
	fd, port, err := bound(host)
	if err != nil {
		t.Fatalf("find a free port of %s: %v", host, err)
	}
	release := func() {
		if err := syscall.Close(fd); err != nil {
			t.Errorf("give up port %d: %v", port, err)
		}
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(release)
	} else {
		release() // others may not let a server have it either
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// bound returns a socket that is bound to a free port and does not listen. Linux gives
// its port to nobody who asks for a free one, and to no connection. It does give it to
// who asks for this very port and has set SO_REUSEADDR, as servers do.
func bound(host string) (fd, port int, err error) {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return 0, 0, err
	}
	family, at := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: ip.As16()})
	if ip.Is4() {
		family, at = syscall.AF_INET, &syscall.SockaddrInet4{Addr: ip.As4()}
	}
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		if err = syscall.Bind(fd, at); err == nil {
			at, err = syscall.Getsockname(fd)
		}
	}
	if err != nil {
		_ = syscall.Close(fd) // the first error says what is wrong
		return 0, 0, err
	}
	switch at := at.(type) {
	case *syscall.SockaddrInet4:
		port = at.Port
	case *syscall.SockaddrInet6:
		port = at.Port
	}
	return fd, port, nil
}
