package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	guestScript = "init.sh"
	// The lines that the guest script prints around the output of its job.
	beginLine, exitLine = "kernels: begin ", "kernels: exit "
	// slowLine begins the line that says how slow the kernel is.
	slowLine = "kernels: slow "
	// What the harness of the tests reads from the environment.
	envTested, envSlow, envShare = "DOWNLOADFS_TEST_BINARY", "DOWNLOADFS_TEST_SLOW", "DOWNLOADFS_TEST_SHARE"
)

//go:embed guest/init.sh
var guest []byte

// runTests runs a test binary in a kernel as go test -exec does on the machine: with
// the arguments, in this working directory, which is in repo.
func runTests(ctx context.Context, k kernel, repo, binary string, args []string) (int, error) {
	work, err := os.MkdirTemp("", "downloadfs-kernels-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work) // the machine never mounts anything in it
	if err := writeJob(work, repo, binary, args); err != nil {
		return 0, err
	}
	cmd, cleanup, err := k.command(ctx, work)
	if err != nil {
		return 0, err
	}
	if cleanup != nil {
		defer cleanup()
	}
	// User-mode Linux is many processes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	console, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	code, err := relay(os.Stdout, console)
	cmd.Cancel()
	cmd.Wait() // how it ended does not matter
	return code, err
}

// writeJob fills the directory that the guest script starts in.
func writeJob(work, repo, binary string, args []string) error {
	tested := os.Getenv(envTested)
	if tested == "" {
		return errors.New(envTested + " is not set; there is no compiler's cache in the kernel")
	}
	machine, _, err := yardstick(tested)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(repo, cwd)
	if err != nil {
		return err
	}
	env := []string{envTested + "=/mnt/work/downloadfs"}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "DOWNLOADFS_") && name != envTested {
			env = append(env, e)
		}
	}
	var job strings.Builder
	fmt.Fprintf(&job, "repo=%s\njob() {\n\tcd %s || return\n\tenv", quote(repo), quote(filepath.Join("/mnt/repo", dir)))
	for _, word := range append(append(env, "/mnt/work/kernels", "inside", machine.String(), "/mnt/work/tests"), args...) {
		job.WriteString(" " + quote(word))
	}
	job.WriteString("\n}\n")
	for _, err := range []error{
		os.Chmod(work, 0o755), // ordinary users run the binary
		os.WriteFile(filepath.Join(work, guestScript), guest, 0o755),
		os.WriteFile(filepath.Join(work, "job.sh"), []byte(job.String()), 0o644),
		copyFile(filepath.Join(work, "kernels"), self),
		copyFile(filepath.Join(work, "tests"), binary),
		copyFile(filepath.Join(work, "downloadfs"), tested),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// relay copies the job's part of a console and returns the job's exit code. If the
// console ends earlier, the kernel is in trouble, and the error contains the whole
// console.
func relay(w io.Writer, console io.Reader) (int, error) {
	lines := bufio.NewReader(console)
	var head strings.Builder
	for began := false; ; {
		line, err := lines.ReadString('\n')
		line = strings.ReplaceAll(line, "\r", "")
		_, code, ended := strings.Cut(line, exitLine)
		switch {
		case !began && strings.HasPrefix(line, beginLine):
			began = true
			fmt.Fprintf(w, "kernel %s", strings.TrimPrefix(line, beginLine))
		case !began:
			head.WriteString(line)
		case ended:
			return strconv.Atoi(strings.TrimSpace(code))
		default:
			if _, err := io.WriteString(w, line); err != nil {
				return 0, err
			}
		}
		if err != nil && !began {
			return 0, fmt.Errorf("the kernel did not start; its console:\n%s", &head)
		}
		if err != nil {
			return 0, errors.New("the kernel ended before its tests")
		}
	}
}

// quote quotes a word for the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// copyFile copies a program.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
