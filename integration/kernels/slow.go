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
const slack = 3

// yardstick runs a few programs that the tests run all the time: the binary under test,
// one that loads much, and one that looks at many files. It returns how much processor
// time they take, and how long. Of some rounds it takes the quickest.
func yardstick(tested string) (cpu, wall time.Duration, err error) {
	cpu, wall = 1<<63-1, 1<<63-1
	for range 5 {
		var used time.Duration
		began := time.Now()
		for _, args := range [][]string{{tested, "version"}, {"python3", "-c", "import json, subprocess"}, {"ls", "-l", "/usr/bin"}} {
			cmd := exec.Command(args[0], args[1:]...)
			if err := cmd.Run(); err != nil {
				return 0, 0, fmt.Errorf("%v: %w", args, err)
			}
			used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
		cpu, wall = min(cpu, used), min(wall, time.Since(began))
	}
	return cpu, wall, nil
}

// slower returns the factor for the time bounds of tests where the yardstick takes so
// long there, and so much processor time here on the machine itself. That is the same
// whatever else the machine does; what it does makes the kernel slower.
func slower(there, here time.Duration) int {
	return max(1, int((slack*there+here-1)/here))
}

// inside runs tests in a kernel. It measures first how slow the kernel is: here is
// the yardstick's processor time on the machine itself. It does not return unless it fails.
func inside(here string, args []string) error {
	machine, err := time.ParseDuration(here)
	if err != nil || machine <= 0 || len(args) == 0 {
		return errors.New("usage: kernels inside DURATION PROGRAM ARGUMENT…")
	}
	_, there, err := yardstick(os.Getenv(envTested))
	if err != nil {
		return err
	}
	factor := strconv.Itoa(slower(there, machine))
	if err := os.Setenv(envSlow, factor); err != nil {
		return err
	}
	fmt.Printf("%s%s: what takes %v of the machine takes %v here\n", slowLine, factor, machine.Round(time.Millisecond), there.Round(time.Millisecond))
	return syscall.Exec(args[0], args, os.Environ())
}
