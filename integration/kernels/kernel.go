package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// kernel is one that can run here.
type kernel struct {
	name string
	// slow is how much longer than on the machine itself things take: the
	// factor for the time bounds of tests.
	slow int
	// command boots it with the guest script in the directory work as its first
	// process. cleanup, if there is one, is for after its end. The machine's own
	// kernel has none.
	command func(ctx context.Context, work string) (cmd *exec.Cmd, cleanup func(), err error)
}

// unpacked is where scripts/setup kernels unpacks packages of kernels.
const unpacked = "bin/kernels"

// here names the machine's own kernel, for what differs in the tests alone.
const here = "here"

// kernels lists those that can run here; repo is the top of the source.
func kernels(repo string) []kernel {
	all := []kernel{{name: here, slow: 1}}
	if _, err := exec.LookPath(umlProgram); err == nil {
		all = append(all, kernel{name: "uml", slow: 10, command: uml})
	}
	images, _ := filepath.Glob(filepath.Join(repo, unpacked, "*/boot/vmlinuz-*"))
	slices.Sort(images)
	if _, err := exec.LookPath(qemuProgram); err == nil {
		for _, image := range images {
			version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
			all = append(all, kernel{name: "qemu-" + version, slow: 20, command: qemu(image, version)})
		}
	}
	return all
}

// choose returns the kernels that the names begin; without names all but the
// machine's own.
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

// repository returns the top of the source, which holds go.mod.
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
