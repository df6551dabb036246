package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"downloadfs/download"
	"downloadfs/download/list"
	"downloadfs/fetch"
	"downloadfs/meter"
)

// getOptions are the flags of get.
type getOptions struct {
	serverOptions
	server  string
	output  string
	extract string
	json    bool
	partOptions
	bandwidth    byteRate
	stallTimeout time.Duration
	log          logOptions
}

func newGetCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [flags] URL|PATH|ID…",
		Short: "Download documents and folders as one zip, without a mount",
		Long: `get has the server zip documents and folders, and fetches the zip into the current
directory. The zip is named after the document or the folder. You give get what
downloads/new of a mount takes: ids, links to nodes, and paths such as
/Sites/press/documentLibrary/report.pdf. With - it reads them from standard input.
A path that begins with - comes after --, as in: downloadfs get -- -my-/letter.txt

What the server refuses as too large comes in parts, as it does in a mount, and is
one zip in the end. The parts are kept beside the zip until it is whole, so that needs
twice its room for a moment; with --extract alone, once.

If get is interrupted, the same command goes on where it was.`,
		Example: `  downloadfs get /Sites/press/documentLibrary/Photos
  downloadfs get --server work -o q3.zip /Sites/press/documentLibrary/Q3 /Sites/press/documentLibrary/report.pdf
  downloadfs get --extract . https://alfresco.example.com/share/page/document-details?nodeRef=workspace://SpacesStore/…`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			return runGet(ctx, cmd, &o, args)
		},
		ValidArgsFunction: o.completeItems,
	}
	f := cmd.Flags()
	addConfigFlag(f)
	f.StringVar(&o.server, "server", "", "the server's URL, or a profile; without it, that of a URL in the list, or the only profile")
	f.StringVarP(&o.output, "output", "o", "", "write the zip to this file, replacing it; - is standard output")
	f.StringVar(&o.extract, "extract", "", "unpack the zip into this directory, and keep the zip only with --output")
	f.BoolVar(&o.json, "json", false, "tell of the progress in JSON, a line each")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 10*time.Minute, "give up when the server makes no progress for so long; 0 waits for ever")
	o.partOptions.addFlags(f)
	addBandwidthFlag(f, &o.bandwidth)
	o.serverOptions.addFlags(f)
	f.Lookup("retry-timeout").Usage = "how long to go on trying while the server cannot be reached; 5 seconds at most when get starts"
	o.log.addFlags(cmd)
	setDefault(cmd, "log-level", "error")
	o.completeFlags(cmd)
	return cmd
}

// setDefault gives a flag another default.
func setDefault(cmd *cobra.Command, name, value string) {
	f := cmd.Flags().Lookup(name)
	if err := f.Value.Set(value); err != nil {
		panic(err)
	}
	f.DefValue = value
}

func runGet(ctx context.Context, cmd *cobra.Command, o *getOptions, args []string) error {
	if err := errors.Join(o.checkPlaces(), o.partOptions.check()); err != nil {
		return err
	}
	if slices.ContainsFunc(args, holdsSecret) {
		return exitf(exitUsage, "%w", errURLSecret)
	}
	wanted, err := readItems(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	t, err := findAnyServer(cmd, o.server, args)
	if err != nil {
		return err
	}
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if !o.json { // its log tells errors only
		tellOfVariables(cmd)
	}
	c, err := o.connect(ctx, cmd, t, log)
	if err != nil {
		return err
	}
	defer c.Close()

	show := newProgress(cmd.ErrOrStderr(), o.json)
	f := &fetch.Fetcher{
		Service: c, Source: meter.New(int64(o.bandwidth), nil).Source(c), Nodes: c, PartSize: o.partSize(), MaxFile: int64(o.maxZipEntry),
		StallTimeout: o.stallTimeout, Tell: show.event,
	}
	nodes, err := f.Resolve(ctx, wanted)
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return getError(t, err)
	}
	path := o.recordPath(t, c.login.username, nodes)
	release, err := fetch.Lock(path)
	if errors.Is(err, download.ErrLocked) {
		return exitf(exitLocked, "another get of the same is running here; wait until it has ended")
	}
	if err != nil {
		return fmt.Errorf("cannot remember this get, so that it could go on later: %w", err)
	}
	defer release()
	if o.output == "-" {
		// If nobody reads any more, there is still something to remove, here and on the server.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	g := &getter{options: o, fetcher: f, record: fetch.OpenRecord(path), remembered: path, out: cmd.OutOrStdout(), log: log}
	result, err := g.run(ctx, nodes)
	show.end()
	switch {
	case ctx.Err() != nil && err != nil && o.output != "-":
		return errors.New("interrupted; the same command goes on from here")
	case ctx.Err() != nil && err != nil:
		return errInterrupted
	case err != nil:
		return getError(t, err)
	}
	show.done(result)
	return nil
}

// readItems parses the items that the user asks for, one per line, as downloads/new
// does.
func readItems(stdin io.Reader, args []string) (download.List, error) {
	text := strings.Join(args, "\n") + "\n"
	if len(args) == 1 && args[0] == "-" {
		all, err := io.ReadAll(io.LimitReader(stdin, download.MaxListBytes+1))
		if err != nil {
			return download.List{}, err
		}
		text = string(all)
	}
	var p list.Parser
	_, _ = io.WriteString(&p, text) // Finish returns its error
	l, err := p.Finish()
	if err == nil && len(l.Entries) == 0 {
		err = errors.New("nothing is asked for")
	}
	if err != nil {
		return l, exitf(exitUsage, "%w", itemError(err, args))
	}
	return l, nil
}

// itemError returns the error of a list. An argument is on no line, and the error quotes
// it anyway.
func itemError(err error, args []string) error {
	if text, rest, ok := strings.Cut(err.Error(), ": "); ok && args[0] != "-" && strings.HasPrefix(text, "line ") {
		return errors.New(rest)
	}
	return err
}

// recordPath returns the file that remembers a try to get the same nodes, for the
// same account, to the same place.
func (o *getOptions) recordPath(t target, username string, nodes []download.NodeID) string {
	if o.stateDir == "" || o.output == "-" {
		return ""
	}
	dir, err := accountDir("state-dir", o.stateDir, accountKey(t.server, username))
	if err != nil {
		return "" // this try is not remembered then
	}
	hash := sha256.New()
	cwd, _ := os.Getwd()
	fmt.Fprintf(hash, "%q %q %q %q", cwd, o.output, o.extract, nodes)
	return filepath.Join(dir, "get", hex.EncodeToString(hash.Sum(nil)[:12])+".json")
}

// getter gets one archive.
type getter struct {
	options *getOptions
	fetcher *fetch.Fetcher
	record  *fetch.Record
	// remembered is the file of record; "" if this try is not remembered.
	remembered string
	out        io.Writer
	log        *slog.Logger
}

// getResult says where the files are.
type getResult struct {
	file      string // the zip, "" if none is kept
	dir       string // where it is unpacked
	extracted fetch.Extracted
	size      int64
}

func (g *getter) run(ctx context.Context, nodes []download.NodeID) (getResult, error) {
	to, err := g.direct()
	if err != nil {
		return getResult{}, err
	}
	if _, err := os.Stat(g.partsPath()); err == nil {
		return g.inParts(ctx, nodes, to)
	}
	a, err := g.fetcher.Download(ctx, nodes, g.record)
	if errors.Is(err, download.ErrTooLarge) && g.fetcher.PartSize >= 0 {
		return g.inParts(ctx, nodes, to)
	}
	if err != nil {
		return getResult{}, err
	}
	if to != nil {
		err := errors.Join(g.fetcher.Write(ctx, a, to, 0), to.Close())
		g.fetcher.Forget(ctx, a.ID, g.record)
		return getResult{size: a.Size}, err
	}
	part, err := g.partFile(a)
	if err != nil {
		return getResult{}, err
	}
	var result getResult
	resumed, err := g.fetcher.File(ctx, a, part, g.record)
	if err == nil && resumed && g.options.extract == "" { // unpacking checks all of it
		err = g.fetcher.Check(ctx, a, part)
	}
	if err == nil {
		result, err = g.place(ctx, a, part)
	}
	if fetch.IsDamage(err) {
		err = errors.Join(fmt.Errorf("%w; the same command fetches the zip again", err), os.Remove(part))
		if !resumed { // so it is the server's that is damaged
			g.fetcher.Forget(ctx, a.ID, g.record)
		}
	}
	if err != nil {
		return result, err
	}
	g.fetcher.Forget(ctx, a.ID, g.record) // also removes the part if the file is not kept
	return result, nil
}

// folder returns the directory that the zip, or its files, go to.
func (g *getter) folder() string {
	switch {
	case g.options.output != "":
		return filepath.Dir(g.options.output)
	case g.options.extract != "":
		return g.options.extract
	}
	return "."
}

// name returns the zip's name.
func (g *getter) name(a download.ArchiveInfo) string {
	if g.options.output != "" {
		return filepath.Base(g.options.output)
	}
	return fetch.FileName(a)
}

// partFile returns the path of the file that becomes the zip. It makes the directory
// for it if need be.
func (g *getter) partFile(a download.ArchiveInfo) (string, error) {
	if g.options.extract != "" && g.options.output == "" {
		if err := os.MkdirAll(g.options.extract, 0o755); err != nil {
			return "", err
		}
	}
	return filepath.Abs(filepath.Join(g.folder(), "."+g.name(a)+"."+string(a.ID)[:min(8, len(a.ID))]+".part"))
}

// place unpacks the zip in part if that is wanted, and gives it its name if it is to be
// kept.
func (g *getter) place(ctx context.Context, a download.ArchiveInfo, part string) (result getResult, err error) {
	result.size = a.Size
	if g.options.extract != "" {
		result.dir = g.options.extract
		if result.extracted, err = fetch.Extract(ctx, a.ID, part, g.options.extract); err != nil {
			return result, err
		}
	}
	if g.options.output != "" || g.options.extract == "" {
		result.file, err = keep(part, filepath.Join(g.folder(), g.name(a)), g.options.output != "")
	}
	return result, err
}

// direct returns the writer if the zip is written as it arrives: to standard output,
// or to a device or pipe, which a rename would replace by a file. It returns nil for
// any other output.
func (g *getter) direct() (io.WriteCloser, error) {
	name := g.options.output
	if name == "-" {
		return nopCloser{g.out}, nil
	}
	if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
		return nil, nil
	}
	return os.OpenFile(name, os.O_WRONLY, 0)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// keep gives part its name, in the same directory. If the name is taken, keep replaces
// that file, whose permissions it takes over, or else adds a number to the name.
func keep(part, name string, replace bool) (string, error) {
	mode := 0o644 &^ umask()
	if old, err := os.Stat(name); err == nil && replace {
		mode = old.Mode().Perm()
	}
	if err := os.Chmod(part, mode); err != nil {
		return "", err
	}
	if replace {
		return name, os.Rename(part, name)
	}
	root, err := os.OpenRoot(filepath.Dir(part))
	if err != nil {
		return "", err
	}
	defer root.Close()
	for n := 0; ; n++ {
		try := fetch.Numbered(name, n)
		if err := fetch.GiveName(root, filepath.Base(part), filepath.Base(try)); !errors.Is(err, os.ErrExist) {
			return try, err
		}
	}
}

// umask returns the permissions that this user's files lack. You can read it only by
// setting it.
func umask() os.FileMode {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return os.FileMode(mask)
}

// getError gives a server's error its exit code, and a sentence for people.
func getError(t target, err error) error {
	code := exitCode(err)
	switch {
	case errors.Is(err, download.ErrUnauthorized):
		code = exitLogin
	case errors.Is(err, download.ErrNotFound):
		code = exitOther
	case errors.Is(err, download.ErrTooLarge):
		return exitf(exitOther, "%w; ask for less, or do without --split off, so that it comes in parts", err)
	case isAny(err, unix.ENOSPC, unix.EDQUOT) && !strings.Contains(err.Error(), "goes on from"):
		return exitf(exitOther, "%w; make room there, and the same command goes on from here, or name another place", err)
	case errors.Is(err, download.ErrForbidden):
		return exitf(exitOther, "%s refuses to give you that: %s", t.server, reason(err))
	}
	return exitf(code, "%w", err)
}
