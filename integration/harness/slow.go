package harness

import (
	"os"
	"strconv"
	"time"
)

// EnvSlow is how many times longer than on an ordinary machine things may take
// where the tests run: under an emulator, see integration/kernels.
const EnvSlow = "DOWNLOADFS_TEST_SLOW"

var slow = func() time.Duration {
	n, err := strconv.Atoi(os.Getenv(EnvSlow))
	if err != nil {
		return 1
	}
	return time.Duration(max(n, 1))
}()

// Scaled returns a bound of time as it is where the tests run. It is for bounds
// of what the machine does; what the mount waits for by its own clock stays.
func Scaled(bound time.Duration) time.Duration { return slow * bound }
