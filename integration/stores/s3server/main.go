// Command s3server is a real S3 server for tests: Versity's gateway in front of a
// directory, whose subdirectories are the buckets. It honours If-None-Match. It has a
// module of its own, so that what it needs is not among what downloadfs needs.
//
//	AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… s3server DIR ADDRESS
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return errors.New("usage: s3server DIR ADDRESS")
	}
	dir, addr := os.Args[1], os.Args[2]
	// In files beside the objects instead, an object would be there before what is known
	// of it, and reading it would fail for a moment.
	if err := (meta.XattrMeta{}).Test(dir); err != nil {
		return fmt.Errorf("%s is on a file system without extended attributes; set TMPDIR: %w", dir, err)
	}
	backend, err := posix.New(dir, meta.XattrMeta{}, posix.PosixOpts{Concurrency: 1000})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("AWS_ACCESS_KEY_ID"),
		RootUserSecret:    os.Getenv("AWS_SECRET_ACCESS_KEY"),
		Ports:             []string{addr},
		MaxConnections:    10000,
		MaxRequests:       10000,
		MultipartMaxParts: 10000,
		Quiet:             true,
		KeepAlive:         true,
	})
}
