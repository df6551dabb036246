package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"downloadfs/client"
	"downloadfs/repository"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	exit    bool
	zipTime time.Duration
	log     logOptions
}

func newDemoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo [flags] [MOUNTPOINT]",
		Short: "Show the main job with an embedded server and sample documents",
		Long: `demo starts a server with sample documents on this machine, mounts its downloads
and shows with ordinary commands what you can do with them. Then it stays mounted
until Ctrl-C, so that you can try it. Without a terminal it ends after the steps.
Its exit code is 0 only if each step did what it should.

Everything it makes is temporary; MOUNTPOINT must be an empty directory.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mountpoint := ""
			if len(args) > 0 {
				mountpoint = args[0]
			}
			return runDemo(cmd, o, mountpoint)
		},
	}
	cmd.Flags().BoolVar(&o.exit, "exit", false, "end after the steps, even on a terminal")
	cmd.Flags().DurationVar(&o.zipTime, "zip-time", 4*time.Second, "about how long the server takes to zip the samples, so that you can see the status move")
	if err := cmd.Flags().MarkHidden("zip-time"); err != nil {
		panic(err) // the flag was added just above
	}
	o.log.addFlags(cmd)
	setDefault(cmd, "log-level", "warn")
	return cmd
}

// The samples that the steps ask for, by their paths on the server.
const (
	demoFolder   = "Sites/marketing/documentLibrary/Photos"
	demoDocument = "Sites/marketing/documentLibrary/Budget 2026.csv"
)

func runDemo(cmd *cobra.Command, o demoOptions, mountpoint string) (err error) {
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	// Keep the password of a real account from the commands that the demo runs.
	if err := os.Unsetenv(envPassword); err != nil {
		return err
	}
	signals := watchSignals()
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	dir, err := os.MkdirTemp("", "downloadfs-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeDemo(dir)) }()
	documents := filepath.Join(dir, "documents")
	if err := os.Mkdir(documents, 0o700); err != nil {
		return err
	}
	if err := repository.WriteSamples(documents); err != nil {
		return fmt.Errorf("cannot write the sample documents: %w", err)
	}
	total, err := contentSize(filepath.Join(documents, demoFolder))
	if err != nil {
		return err
	}
	if mountpoint == "" {
		mountpoint = filepath.Join(dir, "mnt")
		if err := os.Mkdir(mountpoint, 0o700); err != nil {
			return err
		}
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	password := rand.Text()
	repo, err := repository.New(repository.Config{
		Dir:         documents,
		Users:       []repository.User{{Name: "admin", Password: password, Admin: true}},
		ArchiveRate: max(1, int64(float64(total)/o.zipTime.Seconds())),
		Logger:      log,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	server := serveHTTP(listener, repo, log)
	defer func() { err = errors.Join(err, server.close()) }()

	base, err := url.Parse(baseURL(listener))
	if err != nil {
		return err
	}
	s, err := startSession(ctx, sessionConfig{
		options: mountOptions{
			serverOptions: serverOptions{stateDir: filepath.Join(dir, "state"), retryTimeout: time.Minute},
			cacheDir:      filepath.Join(dir, "cache"),
			cacheSize:     1 << 30,
			prefetch:      "auto",
			wait:          "touch",
			stallTimeout:  time.Minute,
		},
		server:     base,
		login:      credentials{username: "admin", password: client.Secret(password), source: "the demo's account"},
		mountpoint: mountpoint,
		log:        log,
	})
	if err != nil {
		return err
	}
	d := &demo{
		out:       cmd.OutOrStdout(),
		client:    s.client,
		documents: documents,
		downloads: filepath.Join(s.mountpoint, "downloads"),
		unpacked:  filepath.Join(dir, "unpacked"),
	}
	d.say("downloadfs demo: a server with sample documents at %s, its downloads mounted on %s", base, s.mountpoint)
	err = d.steps(ctx)
	interactive := !o.exit && isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stdout.Fd())
	if err == nil && interactive {
		d.say("That was the main job. Now try it yourself in another terminal; the mount stays at")
		d.say("  %s", s.mountpoint)
		d.say("until Ctrl-C ends it here.")
		return s.serve(signals)
	}
	// Drop the signal that ended the steps. The next one detaches.
	select {
	case <-signals:
	default:
	}
	if err != nil {
		err = fmt.Errorf("demo: %w", err)
	}
	return errors.Join(err, s.end(signals))
}

// removeDemo removes what the demo made, unless something is still mounted there:
// removing files in a mount cancels downloads.
func removeDemo(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	_, mounted, err := mountAt(filepath.Join(real, "mnt"))
	if err != nil {
		return err
	}
	if mounted {
		return fmt.Errorf("%s is left, since it is still mounted", dir)
	}
	return os.RemoveAll(dir)
}

// contentSize returns the sum of the sizes of all files in dir.
func contentSize(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// demo shows the main job step by step. Only child processes touch the mount: a call
// by the process that serves the mount could block itself.
type demo struct {
	out       io.Writer
	client    *client.Client
	documents string // the folder that is served
	downloads string // the directory in the mount
	unpacked  string // where to unpack
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, format+"\n", args...)
}

// remaining is how long a step may wait for the server.
const remaining = 30 * time.Second

// until calls ok until it returns true.
func until(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, remaining)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
