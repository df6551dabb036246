package bench

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// New memory is most of what the kernel does for a first read, and what it costs
// depends on what was there before: on a virtual machine that gives free memory back
// to its host, five times as much as memory that was in use a moment ago. So before
// each side of a comparison all memory that it can need is brought into the same
// state, and what new memory costs then is printed beside the figures.

// touch uses n bytes of new memory and gives them back. It returns what that cost,
// in seconds a GiB.
func touch(t *testing.T, n int64) float64 {
	t.Helper()
	p, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	start := time.Now()
	for i := 0; i < len(p); i += os.Getpagesize() {
		p[i] = 1
	}
	took := time.Since(start)
	require.NoError(t, unix.Munmap(p))
	runtime.KeepAlive(p)
	return took.Seconds() * (1 << 30) / float64(n)
}

// memoryState brings the machine's memory into a state before one side is measured.
type memoryState struct {
	name string
	set  func(t *testing.T, n int64)
	cost *figure // of new memory afterwards, in seconds a GiB
}

// sample is how much new memory tells its cost; it is little, so that it does not
// change the state.
const sample = 32 << 20

func (s *memoryState) before(t *testing.T, n int64) {
	t.Helper()
	s.set(t, n)
	s.cost.add(touch(t, sample))
}

func (s *memoryState) String() string {
	return fmt.Sprintf("%s: new memory %s/GiB", s.name, s.cost)
}

// warmed: what a side can need, its bytes twice, was in use a moment ago.
func warmed() *memoryState {
	return &memoryState{"memory warmed", func(t *testing.T, n int64) { touch(t, 2*n) }, seconds()}
}

// givenBack: what was free has gone back to the host. Nil where that does not happen.
func givenBack() *memoryState {
	const order = "/sys/module/page_reporting/parameters/page_reporting_order"
	if _, err := os.Stat(order); err != nil {
		return nil
	}
	return &memoryState{"memory given back", func(t *testing.T, n int64) {
		touch(t, 2*n) // so that there is as much of it each time
		time.Sleep(reportingDelay)
	}, seconds()}
}

// reportingDelay is longer than Linux waits before it tells the host of free memory:
// two seconds, a few times over.
const reportingDelay = 8 * time.Second
