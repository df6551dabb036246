package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"downloadfs/cache"
	"downloadfs/client"
	"downloadfs/download"
	"downloadfs/fs"
	"downloadfs/meter"
	"downloadfs/metrics"
	"downloadfs/share"
	"downloadfs/stats"
)

const (
	// checkTimeout is how long the first call to the server may take.
	checkTimeout = 10 * time.Second
	// garbagePercent is how much the heap may grow before garbage is collected.
	garbagePercent = 25
	// lockTimeout is how long a mount waits for another one that is just ending.
	lockTimeout = lingering + 2*time.Second
	// busyRetry is how often a busy mount is tried again.
	busyRetry = 250 * time.Millisecond
	// lingering is how long a mount stays after nobody here sees it any more, for
	// others who have it mounted but use nothing in it.
	lingering = 2 * time.Second
	// unmountTries is how often unmounting may fail for a reason other than being
	// busy.
	unmountTries = 20
)

// sessionConfig is what a session is made from.
type sessionConfig struct {
	options    mountOptions
	server     *url.URL
	login      credentials
	mountpoint string
	log        *slog.Logger
}

// session is a mounted file system and everything that serves it.
type session struct {
	mountpoint string
	device     string // the mount's device, "" if unknown
	manager    *download.Manager
	cache      *cache.Cache
	sharing    *sharing
	server     *fs.Server
	ended      <-chan struct{} // closed when nothing is mounted any more
	client     *client.Client
	metrics    *metrics.Server // nil without --metrics
	notifier   *notifier       // nil without --notify
	stopDump   func()
	notes      []string // files, see note
	log        *slog.Logger
	before     int // number of goroutines before it started
}

// startSession logs in and mounts. ctx bounds the start only. The errors carry exit
// codes.
func startSession(ctx context.Context, cfg sessionConfig) (_ *session, err error) {
	o, before := cfg.options, runtime.NumGoroutine()
	// Most of the heap is buffers, which cost a collection nothing. Collecting
	// earlier saves memory and takes hardly any time.
	debug.SetGCPercent(garbagePercent)
	counts := &stats.Counts{}
	var (
		c       *client.Client   // nil with --share-only
		service download.Service = share.NoServer{}
		source  download.Source  = share.NoServer{}
		nodes   download.Nodes
	)
	if !o.share.only {
		clientConfig := o.clientConfig(cfg.server, cfg.login, cfg.log)
		clientConfig.Exchanged = counts.Request
		if c, err = client.New(clientConfig); err != nil {
			return nil, exitf(exitUsage, "%w", err)
		}
		service, source, nodes = c, c, c
		defer func() {
			if err != nil {
				c.Close()
			}
		}()
	}
	if err := fs.Available(o.allowOther); err != nil && !strings.HasPrefix(cfg.mountpoint, "/dev/fd/") {
		return nil, exitf(exitMountpoint, "%w", err)
	}
	mountpoint, err := prepareMountpoint(cfg.mountpoint, cfg.log)
	if err != nil {
		return nil, err
	}
	var offline error
	if c != nil {
		if offline, err = checkServer(ctx, c, cfg.server, cfg.login); err != nil {
			return nil, err
		}
	}
	// A server that was mistyped leaves no directories.
	if offline != nil && o.share.url == "" && !fileExists(o.journal(cfg.server, cfg.login.username)) {
		return nil, offline
	}
	stateDir, cacheDir, err := o.accountDirs(cfg.server, cfg.login.username)
	if err != nil {
		return nil, err
	}

	shared, err := startSharing(ctx, &o, cfg.server, cfg.login.username, cfg.log)
	if err != nil {
		return nil, err
	}
	s := &session{mountpoint: mountpoint, client: c, sharing: shared, log: cfg.log, before: before}
	metered := meter.New(int64(o.bandwidth), counts.Fetched)
	if s.cache, err = whenUnlocked(ctx, func() (*cache.Cache, error) {
		return cache.Open(cache.Config{
			Dir:     cacheDir,
			Size:    int64(o.cacheSize),
			MinFree: int64(o.cacheMinFree),
			Source:  metered.Source(shared.source(source)),
			Logger:  cfg.log,
		})
	}); err != nil {
		return nil, errors.Join(s.meanwhile(lockedHint(err, "cache", cacheDir)), shared.close())
	}
	s.note(cacheDir)
	archives := shared.archives(s.cache)
	var tell func(download.Snapshot)
	if o.notify {
		s.notifier = startNotifier(mountpoint, cfg.log)
		tell = s.notifier.tell
		defer func() {
			if err != nil {
				s.notifier.close()
			}
		}()
	}
	if s.manager, err = whenUnlocked(ctx, func() (*download.Manager, error) {
		return download.Open(download.Config{
			Service:            shared.service(service),
			Nodes:              nodes,
			PartSize:           o.partSize(),
			MaxFile:            int64(o.maxZipEntry),
			Archives:           archives,
			Turns:              shared.turns(),
			JournalPath:        filepath.Join(stateDir, journalName),
			StallTimeout:       managerStallTimeout(o.stallTimeout),
			UnreachableTimeout: o.retryTimeout,
			Prefetch:           o.prefetch == "auto",
			Logger:             cfg.log,
			Ended:              tell,
		})
	}); err != nil {
		s.forgetNotes()
		return nil, errors.Join(s.meanwhile(lockedHint(err, "state", stateDir)), shared.close(), s.cache.Close())
	}
	s.note(stateDir)
	shared.follow(ctx, s.manager)
	// Who holds the locks has the metrics' address too.
	var listener net.Listener
	if o.metrics != "" {
		if listener, err = metrics.Listen(o.metrics); err != nil {
			return nil, errors.Join(fmt.Errorf("--metrics: %w", err), s.close())
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, listener.Close())
			}
		}()
	}
	if offline != nil {
		if len(s.manager.Downloads()) == 0 {
			return nil, errors.Join(offline, s.close())
		}
		cfg.log.Warn("the server cannot be used now; mounting what is here, and trying again", "op", "mount", "err", offline)
	}
	if ctx.Err() != nil { // what was mounted now would only be unmounted again
		return nil, errors.Join(errInterrupted, s.close())
	}
	// What takes so long leaves others the time to mount there.
	if _, err := prepareMountpoint(cfg.mountpoint, cfg.log); err != nil {
		return nil, errors.Join(err, s.close())
	}
	observed := stats.Mount{
		Counts: counts, Version: versionText(), Started: time.Now(),
		Account: accountMark(cfg.server, cfg.login.username),
		Manager: s.manager, Cache: s.cache, Bandwidth: metered,
	}
	if s.server, err = fs.Mount(fs.Config{
		Mountpoint: mountpoint,
		Manager:    s.manager,
		AllowOther: o.allowOther,
		WaitOpen:   o.wait == "open",
		NoContents: o.contents == "off",
		Elsewhere:  o.share.url != "",
		FsName:     cfg.server.String(),
		Observer:   counts,
		Stats:      func() []byte { return observed.Snapshot().JSON() },
		Bandwidth:  bandwidthSetting{metered, cfg.log},
		UID:        uint32(os.Getuid()),
		GID:        uint32(os.Getgid()),
		Logger:     cfg.log,
		Announcer:  announcer,
	}); err != nil {
		return nil, errors.Join(s.meanwhile(exitf(exitMountpoint, "%w", err)), s.close())
	}
	if m, mounted, err := mountAt(mountpoint); err == nil && mounted {
		s.device = m.device
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.server.Wait()
	}()
	s.ended = ended
	s.stopDump = dumpOnSignal(cfg.log)
	if listener != nil {
		s.metrics = metrics.Serve(listener, observed.Snapshot, cfg.log)
		cfg.log.Info("metrics", "op", "metrics", "address", listener.Addr().String())
	}
	cfg.log.Info("mounted", "op", "mount", "mountpoint", mountpoint, "server", cfg.server.String(),
		"state", stateDir, "cache", cacheDir, "version", versionText())
	return s, nil
}

// managerStallTimeout translates the flag's 0, which means for ever, into the
// manager's value.
func managerStallTimeout(flag time.Duration) time.Duration {
	if flag == 0 {
		return -1
	}
	return flag
}

// checkServer logs in. offline says why the server cannot be used now. That need not
// end the mount: it would not end a running one, and what is here is useful without
// the server. err ends the mount; it is errInterrupted if ctx was cancelled. Both carry
// exit codes.
func checkServer(ctx context.Context, c *client.Client, server *url.URL, login credentials) (offline, err error) {
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err = c.Check(bounded)
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, errInterrupted
	case errors.Is(err, download.ErrUnauthorized) && login.commandFailed():
		return nil, exitf(exitLogin, "cannot log in to %s: %s", server, advised(err, "check "+login.source))
	case errors.Is(err, download.ErrUnauthorized):
		return nil, exitf(exitLogin, "%s refuses %s: %s", server, login.what(), advised(err, "check "+login.source))
	case errors.Is(err, download.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return exitf(exitUnreachable, "cannot reach %s: %s", server, advised(err, "check the URL and the network")), nil
	default:
		return exitf(exitOther, "%s does not answer like an Alfresco server: %s", server, advised(err, "check the URL")), nil
	}
}

// reason returns why a request failed, without what was requested.
func reason(err error) string { return cmp.Or(download.Reason(err), err.Error()) }

// advised returns the reason of err, and what to do if the reason does not say that
// itself.
func advised(err error, advice string) string {
	why := reason(err)
	if strings.Contains(why, "; ") {
		return why
	}
	return why + "; " + advice
}

// whenUnlocked opens something that only one process at a time may use. It waits a
// moment for the process of a mount that was just ended.
func whenUnlocked[T any](ctx context.Context, open func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		v, err := open()
		if !errors.Is(err, download.ErrLocked) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-retry.C:
		}
	}
}

// meanwhile returns err or, if that is its cause, that another process has mounted on the
// mountpoint meanwhile. Two that start at once both find it free.
func (s *session) meanwhile(err error) error {
	if m, mounted, listErr := mountAt(s.mountpoint); listErr == nil && mounted && m.ours() {
		return exitf(exitMountpoint, "%w", &mountedError{s.mountpoint, m.source})
	}
	return err
}

// lockedHint is the error for an account's directory that cannot be opened. what says which
// of its directories it is.
func lockedHint(err error, what, dir string) error {
	if !errors.Is(err, download.ErrLocked) {
		return fmt.Errorf("cannot open the %s %s: %w", what, dir, err)
	}
	where := ""
	if path := notedMount(dir); path != "" {
		where = ", which is mounted on " + path
	}
	return exitf(exitLocked, "the %s %s is in use by another downloadfs%s; unmount that one, or choose other directories", what, dir, where)
}

// noteName is the file in an account's directory that says where the mount is that uses
// the directory.
const noteName = "mountpoint"

// note writes down that this mount uses dir. Only messages need it.
func (s *session) note(dir string) {
	path := filepath.Join(dir, noteName)
	if os.WriteFile(path, []byte(s.mountpoint+"\n"), 0o600) == nil {
		s.notes = append(s.notes, path)
	}
}

// forgetNotes removes what note has written.
func (s *session) forgetNotes() {
	for _, path := range s.notes {
		_ = os.Remove(path)
	}
}

// notedMount returns where the mount is that uses dir, "" if that is not known. A mount
// that was killed has left its note.
func notedMount(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, noteName))
	if err != nil {
		return ""
	}
	path := strings.TrimSuffix(string(text), "\n")
	if m, mounted, err := mountAt(path); err != nil || !mounted || !m.ours() {
		return ""
	}
	return printable(path)
}

// serve blocks until the file system is unmounted, from outside or because a signal
// asked for it.
func (s *session) serve(signals <-chan os.Signal) error {
	select {
	case <-s.ended:
		s.log.Info("unmounted from outside", "op", "unmount", "mountpoint", s.mountpoint)
		return s.close()
	case <-s.server.Detached():
		s.awaitUnused(signals)
		s.log.Info("unmounted from outside", "op", "unmount", "mountpoint", s.mountpoint)
		return s.close()
	case sig := <-signals:
		s.log.Info("unmounting", "op", "unmount", "mountpoint", s.mountpoint, "signal", sig.String())
		return s.end(signals)
	}
}

// awaitUnused goes on serving a mount that was unmounted from outside until nobody
// uses it any more. Files that are open can be read to their end. It ends a mount
// that others, in other mount namespaces, have but do not use. A signal ends it too.
func (s *session) awaitUnused(signals <-chan os.Signal) {
	look := time.NewTicker(busyRetry)
	defer look.Stop()
	for unused, told := time.Now(), false; time.Since(unused) < lingering; {
		select {
		case <-s.ended:
			return
		case <-look.C:
		case sig := <-signals:
			s.log.Info("ending", "op", "unmount", "mountpoint", s.mountpoint, "signal", sig.String())
			s.abort()
			return
		}
		if s.server.InUse() {
			unused = time.Now()
			if !told {
				told = true
				s.log.Info("unmounted from outside; open files can be read until a signal comes", "op", "unmount", "mountpoint", s.mountpoint)
			}
		}
	}
	s.abort()
}

// abort ends a mount that is no longer on its path, for those who still have it.
func (s *session) abort() {
	if text := elsewhereText(s.device); text != "" && !s.server.Gone() { // else the device may be another mount's
		s.log.Warn("the mount ends for others who have it too", "op", "detach", "mountpoint", s.mountpoint, "reason", text)
	}
	if err := s.server.UnmountLazy(); err != nil {
		s.log.Warn("cannot end the mount; it ends with this process", "op", "unmount", "mountpoint", s.mountpoint, "err", err)
	}
	select {
	case <-s.ended:
	case <-time.After(busyRetry): // the end of this process ends it
	}
}

// end unmounts and closes everything. A signal detaches a busy mount.
func (s *session) end(signals <-chan os.Signal) error {
	if err := s.unmount(signals); err != nil {
		return errors.Join(err, s.close())
	}
	s.log.Info("unmounted", "op", "unmount", "mountpoint", s.mountpoint)
	return s.close()
}

// unmount releases all waiters and unmounts. While the mount is busy, it logs who
// uses it and tries again, until a signal asks to detach it. If unmounting fails for
// another reason, it gives up after a few seconds.
func (s *session) unmount(signals <-chan os.Signal) error {
	if err := notify("STOPPING=1"); err != nil {
		s.log.Warn("cannot tell the service manager", "op", "unmount", "err", err)
	}
	if err := s.manager.Close(); err != nil {
		s.log.Error("cannot close the journal", "op", "unmount", "err", err)
	}
	retry := time.NewTicker(busyRetry)
	defer retry.Stop()
	told, failed := "", 0
	for {
		err := s.server.Unmount()
		if err == nil {
			select {
			case <-s.ended:
				return nil
			case <-signals:
			case <-time.After(lingering):
			}
			s.abort()
			return nil
		}
		if !errors.Is(err, fs.ErrBusy) {
			if failed++; failed >= unmountTries {
				return errors.Join(err, s.server.UnmountLazy())
			}
		}
		if text := s.busyText(err); text != told {
			told = text
			s.log.Warn("cannot unmount yet; trying again, and another signal detaches it", "op", "unmount", "mountpoint", s.mountpoint, "reason", text)
		}
		select {
		case <-s.ended:
			return nil
		case <-retry.C:
		case <-signals:
			if err := s.server.UnmountLazy(); err != nil {
				return fmt.Errorf("cannot detach %s: %w", s.mountpoint, err)
			}
			s.log.Warn("detached while in use", "op", "detach", "mountpoint", s.mountpoint)
			return nil
		}
	}
}

func (s *session) busyText(err error) string {
	switch {
	case errors.Is(err, fs.ErrCovered):
		return "another file system is mounted over it"
	case errors.Is(err, fs.ErrBusy):
		return "busy, " + holdersText(s.mountpoint)
	}
	return err.Error()
}

// close ends everything that served the file system. The manager may be closed
// already.
func (s *session) close() error {
	var err error
	if s.metrics != nil {
		err = s.metrics.Close()
	}
	s.forgetNotes()
	err = errors.Join(err, s.manager.Close(), s.sharing.close(), s.cache.Close())
	if s.notifier != nil {
		s.notifier.close()
	}
	if s.stopDump != nil {
		s.stopDump()
	}
	if s.client != nil {
		s.client.Close()
	}
	// The goroutines of closed connections end a little later.
	for deadline := time.Now().Add(time.Second); runtime.NumGoroutine() > s.before && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	s.log.Debug("ended", "op", "exit", "goroutines", runtime.NumGoroutine(), "descriptors", openDescriptors())
	return err
}
