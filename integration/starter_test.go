package integration

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// envStarter makes the test binary one that gets a descriptor from the socket that it
// names, and runs its arguments with it as descriptor 3.
const envStarter = "DOWNLOADFS_TEST_STARTER"

func starter(socket string) int {
	err := func() error {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer c.Close()
		p, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(p, oob)
		if err != nil {
			return err
		}
		messages, err := unix.ParseSocketControlMessage(oob[:n])
		if err != nil {
			return err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return err
		}
		if err := unix.Dup2(fds[0], 3); err != nil {
			return err
		}
		if err := os.Unsetenv(envStarter); err != nil {
			return err
		}
		return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
	}()
	fmt.Fprintln(os.Stderr, err)
	return 1
}
