package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"downloadfs/client"
	"downloadfs/download"
	"downloadfs/login"
)

// flagPassword is the flag that has a password asked for. Some take it for the password's
// own place.
const flagPassword = "password"

// loginCommandOptions are the flags of login.
type loginCommandOptions struct {
	serverOptions
	password  bool
	noBrowser bool
	store     string
}

func newLoginCommand() *cobra.Command {
	var o loginCommandOptions
	cmd := &cobra.Command{
		Use:   "login [flags] URL|PROFILE",
		Short: "Log in once, for all mounts of the server",
		Long: `login logs in once, and stores what a mount needs to log in again: in the desktop's
keyring or, if there is none, in a file below --state-dir that only you can read. A
mount of the server uses it unless you tell the mount what to log in with.

If the server has an identity service (OpenID Connect), login shows an address and a
code. Log in there with any browser. Otherwise, or with --password, login asks for
user name and password. Without a terminal it reads the password from standard input.`,
		Example: `  downloadfs login https://alfresco.example.com
  pass show alfresco | downloadfs login --password --username finn https://alfresco.example.com
  downloadfs login --oidc-issuer https://login.microsoftonline.com/TENANT/v2.0 --oidc-client ID \
    --oidc-scopes 'api://ID/.default offline_access' https://alfresco.example.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.password && len(args) == 2 {
				return errPasswordValue
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := takeEnvironment(envPassword); err != nil {
				return err
			}
			tellOfVariables(cmd)
			t, err := findServer(cmd, args[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runLogin(ctx, cmd, o, t)
		},
		ValidArgsFunction: completeProfiles,
	}
	f := cmd.Flags()
	addConfigFlag(f)
	o.addStoredFlags(f)
	o.addProviderFlags(f)
	if err := f.MarkHidden("client-secret-file"); err != nil { // there is nothing to store
		panic(err)
	}
	f.BoolVar(&o.password, flagPassword, false, "log in with user name and password, whatever else there is; it is asked for")
	f.BoolVar(&o.noBrowser, "no-browser", false, "open no browser, only show the address")
	f.StringVar(&o.store, "store", "auto", "where to store the login: keyring, file, or auto (the keyring if there is one)")
	return cmd
}

// addStoredFlags adds the flags that say whose login is stored, where it is stored,
// and how to talk to the server.
func (o *serverOptions) addStoredFlags(f *pflag.FlagSet) {
	f.StringVar(&o.username, "username", "", "the account's name, if there is a login for more than one")
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir(), "where logins are stored if there is no keyring")
	f.DurationVar(&o.retryTimeout, "retry-timeout", 30*time.Second, "how long to wait for the server at most")
	f.StringVar(&o.caCert, "ca-cert", "", "trust the certificate authorities in this PEM file, besides the system's")
	f.StringVar(&o.clientCert, "client-cert", "", "show the certificate in this PEM file to the server")
	f.StringVar(&o.clientKey, "client-key", "", "the key of --client-cert, if it is not in the same file")
	f.BoolVar(&o.allowHTTP, "allow-http", false, "send the password over unencrypted http to a server that is not this machine")
}

func runLogin(ctx context.Context, cmd *cobra.Command, o loginCommandOptions, t target) error {
	if err := o.check(); err != nil {
		return err
	}
	store, err := o.chooseStore()
	if err != nil {
		return err
	}
	entry, err := o.person(ctx, cmd, t)
	if ctx.Err() != nil {
		return errors.New("interrupted, and nothing is stored")
	}
	if err != nil {
		return err
	}
	key := accountKey(t.server, o.username)
	former, _, formerErr := login.Find([]login.Store{store}, key)
	if err := store.Set(key, entry); err != nil {
		return fmt.Errorf("cannot store the login in %s: %w", store, err)
	}
	if err := o.try(ctx, t, store, key, entry); err != nil {
		if formerErr == nil { // somebody mistyped, and that one still works
			return errors.Join(err, store.Set(key, former))
		}
		return errors.Join(err, store.Delete(key))
	}
	if err := o.beDefault(t, store); err != nil {
		return fmt.Errorf("cannot store the login in %s: %w", store, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "logged in to %s as %s; stored in %s\n", t.server, printable(entry.Username), store)
	return nil
}

// beDefault makes this login the default for a command that names no user of the
// server, unless a login without a user is stored.
func (o *loginCommandOptions) beDefault(t target, store login.Store) error {
	key := accountKey(t.server, "")
	if o.username == "" {
		return nil
	}
	if e, _, err := login.Find(o.loginStores(), key); err == nil && e.Kind != login.KindAlias {
		return nil
	}
	return store.Set(key, login.Entry{Kind: login.KindAlias, Username: o.username})
}

// chooseStore returns where to store.
func (o *loginCommandOptions) chooseStore() (login.Store, error) {
	var keyring, file login.Store
	for _, s := range o.loginStores() {
		if _, ok := s.(login.Keyring); ok {
			keyring = s
		} else {
			file = s
		}
	}
	switch o.store {
	case "keyring":
		if keyring == nil {
			return nil, exitf(exitOther, "there is no keyring in this session; use --store file")
		}
		return keyring, nil
	case "auto":
		// A session may have no keyring.
		if keyring != nil {
			if _, err := keyring.Get("downloadfs-probe"); errors.Is(err, login.ErrNone) {
				return keyring, nil
			}
		}
	case "file":
	default:
		return nil, exitf(exitUsage, "--store %q is not one of auto, keyring, file", o.store)
	}
	if file == nil {
		return nil, exitf(exitUsage, "no home directory to store the login in; give --state-dir")
	}
	if _, err := accountDir("state-dir", o.stateDir, loginsDir); err != nil {
		return nil, err
	}
	return file, nil
}

// person lets a person log in.
func (o *loginCommandOptions) person(ctx context.Context, cmd *cobra.Command, t target) (login.Entry, error) {
	if o.password {
		return o.askPassword(ctx, cmd)
	}
	provider, err := o.provider(t.server)
	if err != nil {
		return login.Entry{}, err
	}
	entry, err := provider.Device(ctx, func(p login.Prompt) { o.show(cmd.OutOrStdout(), p) })
	switch {
	case err == nil:
		entry.Username = cmp.Or(o.username, entry.Username)
		return entry, nil
	case errors.Is(err, login.ErrNoProvider) && o.oidcIssuer == "":
		// The server has no identity service.
		return o.askPassword(ctx, cmd)
	case errors.Is(err, download.ErrUnavailable):
		return login.Entry{}, exitf(exitUnreachable, "cannot log in to %s: %s", t.server, advised(err, "check the URL and the network"))
	}
	return login.Entry{}, exitf(exitLogin, "cannot log in to %s: %s", t.server, reason(err))
}

// show tells a person where to log in, and opens a browser if there is one.
func (o *loginCommandOptions) show(w io.Writer, p login.Prompt) {
	fmt.Fprintf(w, "To log in, open %s\nand enter the code %s\n", printable(p.Address), printable(p.Code))
	full := cmp.Or(p.Full, p.Address)
	opener := map[string]string{"darwin": "open"}[runtime.GOOS]
	if opener == "" && (os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "") {
		opener = "xdg-open"
	}
	// Open only a web address. Anything else that a provider says could be anything
	// on this machine.
	if o.noBrowser || opener == "" || !strings.HasPrefix(full, "https://") && !strings.HasPrefix(full, "http://") {
		return
	}
	if browser := exec.Command(opener, full); browser.Start() == nil {
		go browser.Wait()
	}
}

// askPassword asks on the terminal, or reads the password from standard input.
func (o *loginCommandOptions) askPassword(ctx context.Context, cmd *cobra.Command) (login.Entry, error) {
	name := cmp.Or(o.username, os.Getenv(envUsername))
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		if name == "" {
			return login.Entry{}, exitf(exitUsage, "no user name; give --username, or run it on a terminal")
		}
		password, err := readSecret(cmd.InOrStdin(), "-", "the password")
		if err == nil && password == "" {
			err = exitf(exitUsage, "no password on standard input")
		}
		return login.Entry{Kind: login.KindPassword, Username: name, Secret: password}, err
	}
	w := cmd.ErrOrStderr()
	if name == "" {
		fmt.Fprint(w, "User name: ")
		line, err := ask(ctx, in, func() (string, error) {
			return bufio.NewReader(io.LimitReader(in, 1<<10)).ReadString('\n')
		})
		if name = strings.TrimSpace(line); err != nil || name == "" {
			return login.Entry{}, exitf(exitUsage, "no user name")
		}
	}
	// ReadPassword turns the echo off. It is off before the prompt already, so that what is
	// typed at once is not shown.
	if shown, err := term.MakeRaw(int(in.Fd())); err == nil {
		defer term.Restore(int(in.Fd()), shown)
	}
	fmt.Fprintf(w, "Password of %s: ", printable(name))
	password, err := ask(ctx, in, func() ([]byte, error) { return term.ReadPassword(int(in.Fd())) })
	fmt.Fprint(w, "\r\n")
	if err != nil || len(password) == 0 {
		return login.Entry{}, exitf(exitUsage, "no password")
	}
	return login.Entry{Kind: login.KindPassword, Username: name, Secret: client.Secret(password)}, nil
}

// ask lets a person type. A Ctrl-C ends the wait, and the terminal is as it was before.
func ask[T any](ctx context.Context, terminal *os.File, read func() (T, error)) (T, error) {
	type line struct {
		text T
		err  error
	}
	before, err := term.GetState(int(terminal.Fd()))
	if err != nil {
		return read()
	}
	typed := make(chan line, 1)
	go func() { // nothing can end its read; the process does
		text, err := read()
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done():
		var none T
		return none, errors.Join(ctx.Err(), term.Restore(int(terminal.Fd()), before))
	}
}

// try makes a call with the stored login.
func (o *loginCommandOptions) try(ctx context.Context, t target, store login.Store, key string, entry login.Entry) error {
	c := credentials{username: entry.Username, source: "what you typed"}
	if entry.Kind == login.KindPassword {
		c.password = entry.Secret
	} else {
		provider, err := o.provider(t.server)
		if err != nil {
			return err
		}
		c.tokens, c.source = provider.Stored(store, key), "the identity provider's client"
	}
	api, err := client.New(o.clientConfig(t.server, c, slog.New(slog.DiscardHandler)))
	if err != nil {
		return exitf(exitUsage, "%w", err)
	}
	defer api.Close()
	offline, err := checkServer(ctx, api, t.server, c)
	if offline != nil {
		return offline
	}
	return err
}

func newLogoutCommand() *cobra.Command {
	var o serverOptions
	cmd := &cobra.Command{
		Use:   "logout [flags] URL|PROFILE",
		Short: "Forget the logins that 'downloadfs login' has stored",
		Long: `logout removes the logins for a server from the keyring and from the files: those of
all its accounts, or with --username that of one. Mounts that use them go on until their
login ends: within an hour on most servers.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := findServer(cmd, args[0])
			if err != nil {
				return err
			}
			return runLogout(cmd.OutOrStdout(), o, t)
		},
		ValidArgsFunction: completeProfiles,
	}
	addConfigFlag(cmd.Flags())
	o.addStoredFlags(cmd.Flags())
	return cmd
}

func runLogout(w io.Writer, o serverOptions, t target) error {
	found := false
	var others []string // whose logins stay
	var unanswered, errs []error
	for _, s := range o.loginStores() {
		keys, err := s.Keys()
		if err != nil {
			unanswered = append(unanswered, fmt.Errorf("cannot look for logins in %s: %w", s, err))
			continue
		}
		var removed []string
		for key, name := range loginsOf(s, keys, t.server, o.username) {
			if o.username != "" && name != o.username {
				if name != "" { // else it cannot be read
					others = append(others, strconv.Quote(name))
				}
				continue
			}
			switch err := s.Delete(key); {
			case err == nil:
				found = true
				removed = append(removed, name)
			case !errors.Is(err, login.ErrNone):
				errs = append(errs, fmt.Errorf("cannot remove the login from %s: %w", s, err))
			}
		}
		slices.Sort(removed)
		for _, name := range slices.Compact(removed) {
			what := "the login"
			if name != "" {
				what = fmt.Sprintf("the login of %q", name)
			}
			fmt.Fprintf(w, "%s for %s was removed from %s\n", what, t.server, s)
		}
	}
	slices.Sort(others)
	switch {
	case len(errs) > 0:
		return errors.Join(errs...)
	case found:
		return nil // a store that does not answer has no usable login
	case len(unanswered) > 0:
		return errors.Join(unanswered...)
	case len(others) > 0:
		return exitf(exitOther, "no login of %q for %s is stored; there is one of %s", o.username, t.server, strings.Join(slices.Compact(others), ", "))
	}
	return exitf(exitOther, "no login for %s is stored", t.server)
}

// loginsOf returns the keys among keys whose logins are of the server, with the user's
// name of each. It also looks for the login of username and for the one of whoever names
// none, which a store may not have told.
func loginsOf(s login.Store, keys []string, server *url.URL, username string) map[string]string {
	first := accountKey(server, "")
	keys = append(keys, first, accountKey(server, username))
	if e, err := s.Get(first); err == nil {
		keys = append(keys, accountKey(server, e.Username))
	}
	found := map[string]string{}
	for _, key := range keys {
		e, err := s.Get(key)
		switch {
		case errors.Is(err, login.ErrNone):
			continue
		case err != nil && key == accountKey(server, username):
			e.Username = username // what cannot be read can be removed
		case err != nil:
			e.Username = keyName(key)
		}
		if key == first || key == accountKey(server, e.Username) {
			found[key] = e.Username
		}
	}
	return found
}
