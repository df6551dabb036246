package ports

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Servers come and go on a port that was found, and between them it is nobody's.
func TestFree(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			continue // this machine has no such address
		} else {
			require.NoError(t, l.Close())
		}
		addr := FreeOf(t, host)
		for range 3 {
			_, err := net.Dial("tcp", addr)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			l, err := net.Listen("tcp", addr)
			require.NoError(t, err)
			conn, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			require.NoError(t, l.Close())
			require.NoError(t, conn.Close())
		}
	}
}
