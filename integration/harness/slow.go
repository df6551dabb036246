package harness

import (
	"os"
	"strconv"
	"time"
)

// EnvSlow says how many times longer than on an ordinary machine things may take
// here, such as under an emulator. See integration/kernels.
const EnvSlow = "DOWNLOADFS_TEST_SLOW"

var slow = func() time.Duration {
	n, err := strconv.Atoi(os.Getenv(EnvSlow))
	if err != nil {
		return 1
	}
	return time.Duration(max(n, 1))
}()

// Scaled returns a time bound as it is on this machine. Use it to bound what the
// machine does. What the mount waits for by its own clock stays the same.
func Scaled(bound time.Duration) time.Duration { return slow * bound }
