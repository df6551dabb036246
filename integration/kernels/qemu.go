package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	qemuProgram = "qemu-system-x86_64"
	// virtiofsd shows the machine's files to a kernel. It comes with qemu.
	virtiofsd = "/usr/lib/qemu/virtiofsd"
	// qemuProcessors is how many processors a guest of qemu has.
	qemuProcessors = 2
)

//go:embed guest/initrd.sh
var initrdScript []byte

// qemu returns a function that boots a kernel of Debian's cloud packages under
// emulation, over the machine's files.
func qemu(image, version string) func(ctx context.Context, work string) (*exec.Cmd, func(), error) {
	return func(ctx context.Context, work string) (*exec.Cmd, func(), error) {
		socket := filepath.Join(work, "virtiofs.sock")
		files := exec.CommandContext(ctx, virtiofsd, "--socket-path="+socket,
			"-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always")
		if err := files.Start(); err != nil {
			return nil, nil, err
		}
		cleanup := func() {
			files.Process.Kill()
			files.Wait()
		}
		if err := await(ctx, socket); err != nil {
			cleanup()
			return nil, nil, fmt.Errorf("%s: %w", virtiofsd, err)
		}
		args := []string{
			"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", strconv.Itoa(qemuProcessors), "-m", "3G",
			"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
			"-object", "memory-backend-memfd,id=memory,size=3G,share=on", "-machine", "q35,memory-backend=memory",
			"-chardev", "socket,id=files,path=" + socket, "-device", "vhost-user-fs-pci,chardev=files,tag=machine",
			"-kernel", image,
			"-append", "root=machine rootfstype=virtiofs ro console=ttyS0 quiet panic=-1 init=" + filepath.Join(work, guestScript),
		}
		// If virtiofs is a module, it is loaded first.
		modules := filepath.Join(filepath.Dir(filepath.Dir(image)), "lib/modules", version)
		if _, err := os.Stat(filepath.Join(modules, "kernel/fs/fuse/virtiofs.ko")); err == nil {
			initrd, err := makeInitrd(ctx, work, modules)
			if err != nil {
				cleanup()
				return nil, nil, err
			}
			args = append(args, "-initrd", initrd)
		}
		return exec.CommandContext(ctx, qemuProgram, args...), cleanup, nil
	}
}

// makeInitrd packs busybox and the modules that mount the machine's files.
func makeInitrd(ctx context.Context, work, modules string) (string, error) {
	script, initrd := filepath.Join(work, "initrd.sh"), filepath.Join(work, "initrd")
	if err := os.WriteFile(script, initrdScript, 0o600); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "sh", script, modules, initrd).CombinedOutput(); err != nil {
		return "", fmt.Errorf("make an initrd: %w\n%s", err, out)
	}
	return initrd, nil
}

// await waits until a file exists.
func await(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
