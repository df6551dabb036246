package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// slack is by how much the time bounds of tests grow more than the machine is slower:
// the kernel does other things too while a test looks.
const slack = 2

// yardstick returns how long it takes to run a few programs that the tests run all the
// time: the binary under test, one that loads much, and one that looks at many files.
// Of some rounds it takes the quickest, in which the machine had the least else to do.
func yardstick(tested string) (time.Duration, error) {
	best := time.Duration(1<<63 - 1)
	for range 5 {
		began := time.Now()
		for _, args := range [][]string{{tested, "version"}, {"python3", "-c", "import json, subprocess"}, {"ls", "-l", "/usr/bin"}} {
			if err := exec.Command(args[0], args[1:]...).Run(); err != nil {
				return 0, fmt.Errorf("%v: %w", args, err)
			}
		}
		best = min(best, time.Since(began))
	}
	return best, nil
}

// slower returns the factor for the time bounds of tests where the yardstick takes there,
// and here on the machine itself.
func slower(there, here time.Duration) int {
	return max(1, int((slack*there+here-1)/here))
}

// inside runs tests in a kernel. It measures first how slow the kernel is: here is
// the yardstick on the machine itself, in nanoseconds. It does not return unless it fails.
func inside(here string, args []string) error {
	machine, err := time.ParseDuration(here)
	if err != nil || machine <= 0 || len(args) == 0 {
		return errors.New("usage: kernels inside DURATION PROGRAM ARGUMENT…")
	}
	there, err := yardstick(os.Getenv(envTested))
	if err != nil {
		return err
	}
	factor := strconv.Itoa(slower(there, machine))
	fmt.Printf("%s%s: what takes %v on the machine takes %v here\n", slowLine, factor, machine.Round(time.Millisecond), there.Round(time.Millisecond))
	return syscall.Exec(args[0], args, append(os.Environ(), envSlow+"="+factor))
}
