package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		code = max(code, 1)
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) (int, error) {
	if len(args) >= 2 && args[0] == "inside" { // started by the guest script
		return 0, inside(args[1], args[2:])
	}
	repo, err := repository()
	if err != nil {
		return 0, err
	}
	if len(args) >= 3 && args[0] == "exec" { // started by go test -exec
		chosen, err := choose(kernels(repo), args[1:2])
		if err != nil {
			return 0, err
		}
		return runTests(ctx, chosen[0], repo, args[2], args[3:])
	}
	flags := flag.NewFlagSet("kernels", flag.ExitOnError)
	pattern := flags.String("run", ".", "the tests to run, as for go test")
	skip := flags.String("skip", "", "the tests to leave out, as for go test")
	tags := flags.String("tags", "", "build tags, as for go test")
	timeout := flags.String("timeout", "2h", "for each kernel, as for go test")
	flags.Parse(args)
	chosen, err := choose(kernels(repo), flags.Args())
	if err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp("", "downloadfs-kernels-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // ordinary users run the binary
		return 0, err
	}
	tested := filepath.Join(work, "downloadfs")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags="+*tags, "-o", tested, "downloadfs/cmd/downloadfs")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", build, err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var columns []column
	for _, k := range chosen {
		args := []string{"test", "-json", "-count=1", "-parallel=4", "-tags=" + *tags,
			"-timeout=" + *timeout, "-run=" + *pattern, "-skip=" + *skip}
		if k.command != nil {
			args = append(args, "-exec="+strings.Join([]string{self, "exec", k.name}, " "))
		}
		cmd := exec.CommandContext(ctx, "go", append(args, "downloadfs/integration")...)
		cmd.Env = append(os.Environ(), envTested+"="+tested)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		column, err := runColumn(cmd, os.Stdout, k.name)
		if err != nil {
			return 0, errors.Join(err, ctx.Err())
		}
		columns = append(columns, column)
	}
	return printTable(os.Stdout, columns), nil
}
