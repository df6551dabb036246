package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

func main() {
	// go test sends SIGQUIT to what takes longer than its timeout.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
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
	timeout := flags.String("timeout", "20m", "for each guest, as for go test")
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
	tests, err := listTests(ctx, tested, *tags, *pattern, *skip)
	if err != nil {
		return 0, err
	}
	share := os.Environ()
	if _, set := os.LookupEnv(envShare); !set {
		share = append(share, envShare+"=1")
		fmt.Printf("Guests run half of the rows of long tables. %s=2 runs the others, and an empty one all.\n", envShare)
	}
	var columns []*column
	for _, k := range chosen {
		c := newColumn(k.name, tests)
		columns = append(columns, c)
		var g errgroup.Group
		g.SetLimit(k.guests)
		for _, some := range split(tests, *pattern, k.batch, k.guests) {
			g.Go(func() error {
				args := []string{"test", "-json", "-count=1", "-vet=off", "-parallel=4", "-tags=" + *tags,
					"-timeout=" + *timeout, "-run=" + some, "-skip=" + *skip}
				env := os.Environ()
				if k.command != nil {
					args = append(args, "-exec="+strings.Join([]string{self, "exec", k.name}, " "))
					env = share
				}
				cmd := exec.CommandContext(ctx, "go", append(args, "downloadfs/integration")...)
				cmd.Env = append(slices.Clone(env), envTested+"="+tested)
				// go test, and what it has started.
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
				return c.run(cmd, os.Stdout)
			})
		}
		// What the others found is worth its place in the table.
		if err := g.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "kernels:", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return printTable(os.Stdout, columns), nil
}
