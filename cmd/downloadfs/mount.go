package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"downloadfs/client"
	"downloadfs/metrics"
)

// mountOptions are the flags of mount.
type mountOptions struct {
	serverOptions
	cacheDir     string
	cacheSize    size
	cacheMinFree size
	prefetch     string
	partOptions
	bandwidth    byteRate
	allowOther   bool
	wait         string
	contents     string
	stallTimeout time.Duration
	daemon       bool
	metrics      string
	notify       bool
	logFile      string
	share        shareOptions
	log          logOptions
}

func newMountCommand() *cobra.Command {
	var o mountOptions
	cmd := &cobra.Command{
		Use:   "mount [flags] URL MOUNTPOINT | PROFILE [MOUNTPOINT]",
		Short: "Mount the downloads of the server at URL, or of a profile",
		Long: `mount serves the downloads of an Alfresco server on MOUNTPOINT until it is
unmounted or gets SIGINT or SIGTERM. It stays in the foreground, logs to standard
error and prints one line on standard output when the mount is ready.
URL is any address of the server, even one of a page in a browser.

After 'downloadfs login URL' a mount of that server needs nothing more. Or the user
name and the password come from the environment, ` + envUsername + ` and
` + envPassword + `, or from what a flag names, such as --password-file.

A PROFILE is a name in a configuration file, which has the URL and any other setting
of mount; see 'downloadfs config --help'. The mountpoint of a profile is made if it is
missing. Each flag can be given as an environment variable too: --cache-size as
` + envName("cache-size") + `.`,
		Example: `  downloadfs login https://alfresco.example.com
  mkdir -p ~/alfresco
  downloadfs mount --daemon https://alfresco.example.com ~/alfresco

  read -rs ` + envPassword + `; export ` + envPassword + ` ` + envUsername + `=finn
  downloadfs mount https://alfresco.example.com ~/alfresco

  downloadfs mount work`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Take the password out of the environment before anything else happens.
			password, err := takeEnvironment(envPassword)
			if err != nil {
				return err
			}
			target, err := findTarget(cmd, args)
			if err != nil {
				return err
			}
			child, err := asDaemon()
			if err != nil {
				return err
			}
			if child != nil {
				password = child.password
			}
			if o.daemon && child == nil {
				tellOfVariables(cmd) // the child tells it in its log only
				return startDaemon(cmd, os.Args[1:], target.mountpoint, password, nil)
			}
			return runMount(cmd, o, target, password, child)
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = completeProfiles
	return cmd
}

func (o *mountOptions) addFlags(cmd *cobra.Command) {
	o.cacheSize, o.cacheMinFree = 10<<30, 1<<30
	f := cmd.Flags()
	addConfigFlag(f)
	o.serverOptions.addFlags(f)
	f.StringVar(&o.cacheDir, "cache-dir", defaultCacheDir(), "where to keep archives; one directory per server and user is made in it")
	f.Var(&o.cacheSize, "cache-size", "how much the cache may hold, such as 512M or 10G")
	f.Var(&o.cacheMinFree, "cache-min-free", "how much room the cache leaves on its disk")
	f.StringVar(&o.prefetch, "prefetch", "auto", "fetch finished archives in the background: auto, or off; parts of what is too large are fetched in any case")
	addBandwidthFlag(f, &o.bandwidth)
	o.partOptions.addFlags(f)
	f.BoolVar(&o.allowOther, "allow-other", false, "let other users read the mount")
	f.StringVar(&o.wait, "wait", "touch", "what waits for a pending archive: touch (stat, open and read), or open (stat never waits)")
	f.StringVar(&o.contents, "contents", "link", "show what is inside the archives: link (a link in each download's directory), or off")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 10*time.Minute, "how long a download may make no progress before its readers get ETIMEDOUT; 0 waits for ever")
	f.BoolVar(&o.daemon, "daemon", false, "go into the background when the mount is ready")
	f.BoolVar(&o.notify, "notify", false, "show a notification on the desktop when a download is ready or has failed")
	f.StringVar(&o.metrics, "metrics", "", "show metrics to Prometheus, and the process to pprof, on unix:PATH (for this user only) or on 127.0.0.1:PORT (for all users of this machine)")
	f.StringVar(&o.logFile, "log-file", "", "log to this file instead of standard error; it is put aside at 10 MB, three are kept, and SIGUSR2 opens it again")
	o.share.addMountFlags(f)
	o.log.addFlags(cmd)
}

// check rejects flag values that cannot be right. It joins an error for each.
func (o *mountOptions) check() error {
	errs := []error{
		oneOf("prefetch", o.prefetch, "auto", "off"),
		o.partOptions.check(),
		oneOf("wait", o.wait, "touch", "open"),
		oneOf("contents", o.contents, "link", "off"),
		o.log.check(),
		o.serverOptions.check(),
		o.share.check(),
	}
	if o.stallTimeout < 0 {
		errs = append(errs, badValue("stall-timeout", "%v is negative", o.stallTimeout))
	}
	if o.metrics != "" {
		if err := metrics.Check(o.metrics); err != nil {
			errs = append(errs, badValue("metrics", "%s %v", o.metrics, err))
		}
	}
	return errors.Join(errs...)
}

// runMount mounts and serves; child is this process's side of a mount in the
// background, or nil.
func runMount(cmd *cobra.Command, o mountOptions, target target, password client.Secret, child *daemonChild) (err error) {
	if err := errors.Join(located(cmd.Flags(), o.check()), o.absolute()); err != nil {
		return err
	}
	if err := located(cmd.Flags(), o.checkOutside(target.mountpoint)); err != nil {
		return err
	}
	if child != nil && o.logFile == "" {
		if o.logFile, err = o.defaultLogFile(target.mountpoint); err != nil {
			return err
		}
	}
	logTo := cmd.ErrOrStderr()
	if o.logFile != "" {
		file, err := openLogFile(o.logFile)
		if err != nil {
			return exitf(exitUsage, "cannot log to --log-file: %w", err)
		}
		defer func() { err = errors.Join(err, file.close()) }()
		if child != nil {
			child.log = file
		}
		logTo = file
	}
	log, err := o.log.logger(logTo)
	if err != nil {
		return err
	}
	warnOfVariables(cmd.Root(), log)
	login := o.nameOnly()
	if !o.share.only {
		if login, err = o.login(cmd, target, password); err != nil {
			return err
		}
	}
	unmake := func() {}
	if target.ofProfile {
		if unmake, err = makeMountpoint(target.mountpoint); err != nil {
			unmake()
			return err
		}
	}
	signals := watchSignals()
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := startSession(ctx, sessionConfig{
		options:    o,
		server:     target.server,
		login:      login,
		mountpoint: target.mountpoint,
		log:        log,
	})
	if there, ok := errors.AsType[*mountedError](err); ok && ctx.Err() == nil && child != nil && child.helper && isMountOf(there.path, target.server, login.username) {
		return child.tell(fmt.Sprintf("%s is mounted already\n", there.path))
	}
	if err != nil {
		unmake()
		if ctx.Err() != nil {
			return errors.New("interrupted before the mount was ready")
		}
		return err
	}
	line := fmt.Sprintf("mounted %s on %s\n", target.server, s.mountpoint)
	if child == nil {
		fmt.Fprint(cmd.OutOrStdout(), line)
	} else if err := child.ready(line); err != nil {
		return errors.Join(fmt.Errorf("cannot go into the background: %w", err), s.end(signals))
	}
	if err := notify("READY=1"); err != nil {
		log.Warn("cannot tell the service manager", "op", "mount", "err", err)
	}
	return s.serve(signals)
}

// watchSignals returns the signals that ask to unmount. It also keeps the mount alive
// when nobody reads its log any more.
func watchSignals() <-chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup and --daemon ask to go on
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals
}

// journalName is the journal's file in the state directory of an account.
const journalName = "journal.db"

// journal returns the path of an account's journal.
func (o *mountOptions) journal(server *url.URL, username string) string {
	return filepath.Join(o.stateDir, accountKey(server, username), journalName)
}

// accountDirs returns the directories of one user on one server. It creates the one
// for the state. A cache works without its directory if that cannot be used.
func (o *mountOptions) accountDirs(server *url.URL, username string) (state, cache string, err error) {
	key := accountKey(server, username)
	if state, err = accountDir("state-dir", o.stateDir, key); err != nil {
		return "", "", err
	}
	_, err = accountDir("cache-dir", o.cacheDir, key)
	if o.cacheDir == "" || errors.Is(err, errForeignDir) {
		return "", "", err
	}
	return state, filepath.Join(o.cacheDir, key), nil // the cache reports other problems with its directory
}
