package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"downloadfs/repository"
)

// envServeUsers holds accounts for serve, written as for --user, separated by white
// space.
const envServeUsers = "DOWNLOADFS_SERVE_USERS"

// serveOptions are the flags of serve.
type serveOptions struct {
	listen         string
	users          []string
	archiveRate    size
	contentRate    size
	maxContentSize size
	maxAge         time.Duration
	ticketMaxIdle  time.Duration
	dataDir        string
	failZipAfter   size
	maxZipEntry    size
	zipEra         string
	skipFails      bool
	skipReads      bool
	log            logOptions
}

func newServeCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve [flags] DIR",
		Short: "Serve a folder as an Alfresco content server, for trying and testing",
		Long: `serve answers Alfresco's REST API (nodes, content, downloads, tickets) over the
files of DIR, which it only reads. It behaves as a real server does, including
the awkward parts. It prints one line on standard output when it is ready.

"User Homes/NAME" in DIR is for the user NAME and the administrator only.
Passwords given with --user can be seen by every local user: they are for test
accounts only. ` + envServeUsers + ` in the environment takes the same, separated
by white space.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runServe(cmd, o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	f.StringArrayVar(&o.users, "user", nil, "an account as NAME:PASSWORD, may be repeated; the first, or admin, is the administrator (default admin:admin, on a loopback address only)")
	f.Var(&o.archiveRate, "archive-rate", "bytes a second at which each download is zipped; 0 for as fast as it goes")
	f.Var(&o.contentRate, "content-rate", "bytes a second at which each connection is sent content; 0 for as fast as it goes")
	f.Var(&o.maxContentSize, "max-content-size", "the largest sum of content that is zipped; 0 for Alfresco's default of 2152852358 bytes")
	f.DurationVar(&o.maxAge, "download-max-age", time.Hour, "age at which the cleaner deletes downloads")
	f.DurationVar(&o.ticketMaxIdle, "ticket-max-idle", time.Hour, "how long a ticket lives without being used")
	f.StringVar(&o.dataDir, "data-dir", "", "where to keep downloads across restarts; must not be in DIR (default: nowhere)")
	f.Var(&o.failZipAfter, "fail-zip-after", "make every zip die without a word after so many bytes, as a real server's can; 0 for never")
	f.Var(&o.maxZipEntry, "max-zip-entry", "make every zip die without a word at a file of so many bytes or more; 0 for 4 GiB, as on a real server")
	f.StringVar(&o.zipEra, "zip-era", string(repository.ZipNewer), "how zips tell the times of their files: newer in UTC, older in the server's time zone only")
	f.BoolVar(&o.skipFails, "skip-fails", false, "answer ranges that do not start at 0 with an empty 206, as some content stores make a real server do")
	f.BoolVar(&o.skipReads, "skip-reads", false, "read through the content, at --content-rate, to where a range starts, as object storage makes a real server do")
	if err := f.MarkHidden("skip-reads"); err != nil {
		panic(err) // the flag was added one line above
	}
	o.log.addFlags(cmd)
	return cmd
}

func runServe(cmd *cobra.Command, o serveOptions, dir string) error {
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	warnOfVariables(cmd.Root(), log)
	users, err := serveUsers(o.users)
	if err != nil {
		return err
	}
	if err := oneOf("zip-era", o.zipEra, string(repository.ZipNewer), string(repository.ZipOlder)); err != nil {
		return err
	}
	signals := watchSignals()
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", o.listen, err)
	}
	if len(users) == 0 && !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(exitf(exitUsage, "cannot serve on %s with the account admin:admin, which others on the network could guess; "+
			"give one with --user NAME:PASSWORD or %s", o.listen, envServeUsers), listener.Close())
	}
	repo, err := repository.New(repository.Config{
		Dir:            dir,
		Users:          users,
		ArchiveRate:    int64(o.archiveRate),
		ContentRate:    int64(o.contentRate),
		MaxContentSize: int64(o.maxContentSize),
		DownloadMaxAge: o.maxAge,
		TicketMaxIdle:  o.ticketMaxIdle,
		DataDir:        o.dataDir,
		FailZipAfter:   int64(o.failZipAfter),
		MaxZipEntry:    int64(o.maxZipEntry),
		ZipEra:         repository.ZipEra(o.zipEra),
		SkipFails:      o.skipFails,
		SkipReads:      o.skipReads,
		Logger:         log,
	})
	if errors.Is(err, repository.ErrDataServed) {
		err = exitf(exitUsage, "%w; choose another directory with --data-dir or TMPDIR", err)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot serve %s: %w", dir, err), listener.Close())
	}
	server := serveHTTP(listener, repo, log)
	base := baseURL(listener)
	log.Info("serving", "op", "serve", "dir", dir, "url", base,
		"core", base+"/alfresco/api/-default-/public/alfresco/versions/1",
		"authentication", base+"/alfresco/api/-default-/public/authentication/versions/1")
	fmt.Fprintf(cmd.OutOrStdout(), "serving %s on %s\n", dir, base)
	if err := notify("READY=1"); err != nil {
		log.Warn("cannot tell the service manager", "op", "serve", "err", err)
	}
	select {
	case sig := <-signals:
		log.Info("ending", "op", "serve", "signal", sig.String())
		// An unfinished zip or answer must not delay the end.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		return errors.Join(server.close(), repo.Close())
	case err := <-server.failed:
		return errors.Join(fmt.Errorf("cannot serve %s any longer: %w", dir, err), repo.Close())
	}
}

// httpServer is a running HTTP server.
type httpServer struct {
	*http.Server
	failed <-chan error // one error, if it ends otherwise than by close
	ended  <-chan struct{}
}

// How long a caller may take to send a request: its headers, and all of it. The
// caller need not have logged in yet.
const (
	headerTimeout  = 30 * time.Second
	requestTimeout = time.Minute
)

// serveHTTP serves listener with handler until close.
func serveHTTP(listener net.Listener, handler http.Handler, log *slog.Logger) *httpServer {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	return &httpServer{Server: server, failed: failed, ended: ended}
}

// close ends the server and its connections at once.
func (s *httpServer) close() error {
	err := s.Close()
	<-s.ended
	return err
}

// baseURL returns the URL of a listener on this machine.
func baseURL(listener net.Listener) string {
	addr := listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "localhost"
	}
	return fmt.Sprintf("http://%s", net.JoinHostPort(host, fmt.Sprint(addr.Port)))
}

// serveUsers reads the accounts from the flag and the environment. Its errors hold no
// password.
func serveUsers(flags []string) ([]repository.User, error) {
	texts := append(flags, strings.Fields(os.Getenv(envServeUsers))...)
	if err := os.Unsetenv(envServeUsers); err != nil {
		return nil, fmt.Errorf("unset %s: %w", envServeUsers, err)
	}
	users := make([]repository.User, 0, len(texts))
	for i, text := range texts {
		name, password, ok := strings.Cut(text, ":")
		if !ok || name == "" || password == "" {
			return nil, exitf(exitUsage, "account %d must be given as NAME:PASSWORD", i+1)
		}
		users = append(users, repository.User{Name: name, Password: password})
	}
	return users, nil
}
