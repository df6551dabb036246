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
)

// mountOptions are the flags of mount.
type mountOptions struct {
	serverOptions
	cacheDir     string
	cacheSize    size
	cacheMinFree size
	prefetch     string
	allowOther   bool
	wait         string
	contents     string
	stallTimeout time.Duration
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

The user name and the password come from the environment: ` + envUsername + ` and
` + envPassword + `. The password can be in a file instead, see --password-file.

A PROFILE is a name in a configuration file, which has the URL and whatever else
mount can be told; see 'downloadfs config --help'. Each flag can be given as an
environment variable too: --cache-size as ` + envName("cache-size") + `.`,
		Example: `  read -rs ` + envPassword + `; export ` + envPassword + ` ` + envUsername + `=finn
  downloadfs mount https://alfresco.example.com ~/alfresco
  downloadfs mount work`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The password leaves the environment before anything else happens.
			password, err := takeEnvironment(envPassword)
			if err != nil {
				return err
			}
			target, err := findTarget(cmd, args)
			if err != nil {
				return err
			}
			return runMount(cmd, o, target, password)
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
	f.StringVar(&o.prefetch, "prefetch", "auto", "fetch finished archives in the background: auto, or off")
	f.BoolVar(&o.allowOther, "allow-other", false, "let other users read the mount")
	f.StringVar(&o.wait, "wait", "touch", "what waits for a pending archive: touch (stat, open and read), or open (stat never waits)")
	f.StringVar(&o.contents, "contents", "link", "show what is inside the archives: link (a link in each download's directory), or off")
	f.DurationVar(&o.stallTimeout, "stall-timeout", 10*time.Minute, "how long a download may make no progress before its readers get ETIMEDOUT; 0 waits for ever")
	o.log.addFlags(cmd)
}

// check refuses flag values that cannot be right.
func (o *mountOptions) check() error {
	if o.prefetch != "auto" && o.prefetch != "off" {
		return exitf(exitUsage, "--prefetch %q is not one of auto, off", o.prefetch)
	}
	if o.wait != "touch" && o.wait != "open" {
		return exitf(exitUsage, "--wait %q is not one of touch, open", o.wait)
	}
	if o.contents != "link" && o.contents != "off" {
		return exitf(exitUsage, "--contents %q is not one of link, off", o.contents)
	}
	if o.stallTimeout < 0 {
		return exitf(exitUsage, "--stall-timeout %v is negative", o.stallTimeout)
	}
	return o.serverOptions.check()
}

func runMount(cmd *cobra.Command, o mountOptions, target target, password client.Secret) error {
	if err := o.check(); err != nil {
		return err
	}
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	login, err := o.login(cmd, target, password)
	if err != nil {
		return err
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
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("interrupted before the mount was ready")
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "mounted %s on %s\n", target.server, s.mountpoint)
	if err := notify("READY=1"); err != nil {
		log.Warn("cannot tell the service manager", "op", "mount", "err", err)
	}
	return s.serve(signals)
}

// watchSignals returns the signals that ask to unmount. It also keeps a log
// that nobody reads any more from ending the mount.
func watchSignals() <-chan os.Signal {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup asks to go on
		signal.Notify(signals, syscall.SIGHUP)
	}
	return signals
}

// accountDirs returns the directories of one user on one server. The one for the
// state is created; a cache whose directory cannot be used does without it.
func (o *mountOptions) accountDirs(server *url.URL, username string) (state, cache string, err error) {
	key := accountKey(server, username)
	if state, err = accountDir("state-dir", o.stateDir, key); err != nil {
		return "", "", err
	}
	_, err = accountDir("cache-dir", o.cacheDir, key)
	if o.cacheDir == "" || errors.Is(err, errForeignDir) {
		return "", "", err
	}
	return state, filepath.Join(o.cacheDir, key), nil // the cache says what else is wrong with it
}
