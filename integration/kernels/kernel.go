package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// kernel is a kernel that can run here.
type kernel struct {
	name string
	// command boots the kernel with the guest script in the directory work as its
	// first process. Call cleanup, if it is not nil, after its end. The machine's own
	// kernel has no command.
	command func(ctx context.Context, work string) (cmd *exec.Cmd, cleanup func(), err error)
	// guests is how many of it run at once, and batch how many tests each gets, 0 for all.
	guests, batch int
}

// unpacked is where scripts/setup kernels unpacks kernel packages.
const unpacked = "bin/kernels"

// here names the machine's own kernel. Use it to see differences that come from the
// tests alone.
const here = "here"

// kernels lists the kernels that can run here. repo is the top of the source.
func kernels(repo string) []kernel {
	all := []kernel{{name: here, guests: 1}}
	if _, err := exec.LookPath(umlProgram); err == nil {
		all = append(all, kernel{name: "uml", command: uml, guests: runtime.NumCPU(), batch: 8})
	}
	images, _ := filepath.Glob(filepath.Join(repo, unpacked, "*/boot/vmlinuz-*"))
	slices.Sort(images)
	if _, err := exec.LookPath(qemuProgram); err == nil {
		for _, image := range images {
			version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
			all = append(all, kernel{name: "qemu-" + version, command: qemu(image, version), guests: max(1, runtime.NumCPU()/qemuProcessors), batch: 24})
		}
	}
	return all
}

// choose returns the kernels whose names begin with one of names. Without names it
// returns all but the machine's own.
func choose(all []kernel, names []string) ([]kernel, error) {
	if len(names) == 0 {
		others := slices.DeleteFunc(slices.Clone(all), func(k kernel) bool { return k.name == here })
		if len(others) == 0 {
			return nil, errors.New("no other kernel found; run: scripts/setup kernels")
		}
		return others, nil
	}
	var chosen []kernel
	for _, name := range names {
		found := false
		for _, k := range all {
			if strings.HasPrefix(k.name, name) {
				chosen, found = append(chosen, k), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no kernel %q here; run: scripts/setup kernels", name)
		}
	}
	return chosen, nil
}

// repository returns the top of the source, the directory of go.mod.
func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("not in the source tree; run it there")
	}
	return filepath.Dir(mod), nil
}
