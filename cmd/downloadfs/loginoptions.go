package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"downloadfs/client"
	"downloadfs/login"
)

// credentials are what a command logs in to a server with.
type credentials struct {
	username  string
	password  client.Secret
	passwords client.PasswordSource // instead of password
	tokens    client.TokenSource    // instead of both
	source    string                // where they come from, for messages
	failed    *atomic.Bool          // what gives them has failed when it was last asked; may be nil
}

// commandFailed reports whether the credentials could not be had, so that the server
// has refused nothing.
func (c credentials) commandFailed() bool { return c.failed != nil && c.failed.Load() }

// fromPasswordCommand has argv print the password.
func (c *credentials) fromPasswordCommand(argv argv) {
	source, failed := login.PasswordCommand(argv), new(atomic.Bool)
	c.failed = failed
	c.passwords = func(ctx context.Context) (client.Secret, error) {
		password, err := source(ctx)
		failed.Store(err != nil)
		return password, err
	}
}

// fromTokenCommand has argv print tokens.
func (c *credentials) fromTokenCommand(argv argv) { c.fromTokens(login.TokenCommand(argv)) }

// fromTokens has source give tokens.
func (c *credentials) fromTokens(source client.TokenSource) {
	failed := new(atomic.Bool)
	c.failed = failed
	c.tokens = func(ctx context.Context, again bool) (client.Token, error) {
		token, err := source(ctx, again)
		failed.Store(err != nil)
		return token, err
	}
}

// what describes, within a sentence, what somebody logs in with.
func (c credentials) what() string {
	switch {
	case c.username != "":
		return fmt.Sprintf("the login of %q", c.username)
	case c.tokens != nil:
		return "the token"
	}
	return "the ticket"
}

// loginOptions are the flags that say who logs in, and with what.
type loginOptions struct {
	username         string
	passwordFile     string
	passwordCommand  argv
	tokenCommand     argv
	kerberos         bool
	keytab           string
	oidcIssuer       string
	oidcClient       string
	oidcScopes       string
	clientSecretFile string
}

// loginWays are the flags and keys that say what to log in with. One of them is used.
var loginWays = []string{"password-file", "password-command", "token-command", "kerberos", "keytab", "client-secret-file", keyPassword, keySecret}

// The names of the files that systemd's LoadCredential= gives to a service.
const (
	credentialPassword = "alfresco-password"
	credentialSecret   = "alfresco-client-secret"
)

func (o *loginOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.username, "username", "", "the account's name; without it, "+envUsername)
	f.StringVar(&o.passwordFile, "password-file", "", "read the password from the first line of this file, which others must not be able to read; - is standard input")
	f.Var(&o.passwordCommand, "password-command", "run this, without a shell, whenever the password is needed, and take the first line that it prints")
	f.Var(&o.tokenCommand, "token-command", "run this, without a shell, whenever a token is needed, and take what it prints")
	f.BoolVar(&o.kerberos, "kerberos", false, "log in with the Kerberos ticket that kinit or the desktop's login has got (SPNEGO)")
	f.StringVar(&o.keytab, "keytab", "", "log in by Kerberos with the key in this file, as --username or as the only one whose key it has")
	o.addProviderFlags(f)
}

// addProviderFlags adds the flags of OpenID Connect.
func (o *loginOptions) addProviderFlags(f *pflag.FlagSet) {
	f.StringVar(&o.oidcIssuer, "oidc-issuer", "", "the OpenID Connect provider; without it, SERVER/auth/realms/alfresco")
	f.StringVar(&o.oidcClient, "oidc-client", login.DefaultClient, "the client's id at the provider")
	f.StringVar(&o.oidcScopes, "oidc-scopes", "", "the scopes to ask the provider for, separated by spaces; without it, openid offline_access")
	f.StringVar(&o.clientSecretFile, "client-secret-file", "", "log in as the client itself, with the secret in the first line of this file")
}

// way is one place that credentials could come from.
type way struct {
	name string
	rank int // a way of the highest rank among those present is used
	use  func(*credentials) error
}

// The ranks of ways.
const (
	rankFile        = iota + 1 // a configuration file
	rankCredentials            // systemd's
	rankEnvironment            // ALFRESCO_PASSWORD
	rankVariable               // DOWNLOADFS_…
	rankFlag
)

// rankOf returns the rank of a flag, 0 if it is not set.
func rankOf(f *pflag.Flag) int {
	switch from := origin(f); {
	case from == "":
		return 0
	case strings.HasPrefix(from, "--"):
		return rankFlag
	case strings.HasPrefix(from, "DOWNLOADFS_"):
		return rankVariable
	}
	return rankFile
}

// login returns the credentials for t's server. It looks at the flags, the
// environment, the configuration, and what 'downloadfs login' has stored, and uses
// the first that says something. fromEnv is the password of the environment.
func (o *serverOptions) login(cmd *cobra.Command, t target, fromEnv client.Secret) (credentials, error) {
	c := credentials{username: o.username, source: origin(cmd.Flags().Lookup("username"))}
	if name := os.Getenv(envUsername); name != "" && rankOf(cmd.Flags().Lookup("username")) <= rankFile {
		c.username, c.source = name, envUsername
	}
	w, err := o.way(cmd, t, fromEnv)
	if err != nil {
		return credentials{}, err
	}
	if w.use == nil {
		return o.stored(t.server, c)
	}
	if err := w.use(&c); err != nil {
		return credentials{}, err
	}
	ticket := strings.HasPrefix(c.password.Reveal(), "TICKET_")
	switch {
	case c.tokens != nil, ticket: // they name their user
	case c.username == "":
		return credentials{}, exitf(exitUsage, "no user name; set %s, give --username, or write username into the profile", envUsername)
	case c.password == "" && c.passwords == nil:
		return credentials{}, exitf(exitUsage, "the password in %s is empty", w.name)
	}
	if c.source = cmp.Or(c.source, w.name); c.source != w.name {
		c.source += " and " + w.name
	}
	return c, nil
}

// place returns what a person finds the way by: its flag, or its place in a file.
func (w way) place(flags *pflag.FlagSet) string {
	name, ok := strings.CutPrefix(w.name, "--")
	if at := origin(flags.Lookup(name)); ok && w.rank == rankFile && at != "" {
		return at + " (" + name + ")"
	}
	return w.name
}

// way returns the way that is used, or none.
func (o *serverOptions) way(cmd *cobra.Command, t target, fromEnv client.Secret) (way, error) {
	flags := cmd.Flags()
	ofFlag := func(name string, use func(*credentials) error) way {
		return way{name: "--" + name, rank: rankOf(flags.Lookup(name)), use: use}
	}
	passwordFrom := func(name, flag string) func(*credentials) error {
		return func(c *credentials) (err error) {
			c.password, err = readSecret(cmd.InOrStdin(), name, flag)
			return err
		}
	}
	secretFrom := func(name, flag string) func(*credentials) error {
		return func(c *credentials) error {
			secret, err := readSecret(cmd.InOrStdin(), name, flag)
			if err != nil {
				return err
			}
			return o.asClient(c, t.server, secret)
		}
	}
	ways := []way{
		ofFlag("password-file", passwordFrom(o.passwordFile, "--password-file")),
		ofFlag("password-command", func(c *credentials) error { c.fromPasswordCommand(o.passwordCommand); return nil }),
		ofFlag("token-command", func(c *credentials) error { c.fromTokenCommand(o.tokenCommand); return nil }),
		ofFlag("client-secret-file", secretFrom(o.clientSecretFile, "--client-secret-file")),
		o.kerberosWay(flags, t.server),
	}
	if fromEnv != "" {
		ways = append(ways, way{envPassword, rankEnvironment, func(c *credentials) error { c.password = fromEnv; return nil }})
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		for name, use := range map[string]func(name, flag string) func(*credentials) error{credentialPassword: passwordFrom, credentialSecret: secretFrom} {
			if path := filepath.Join(dir, name); fileExists(path) {
				ways = append(ways, way{"the credential " + name, rankCredentials, use(path, "the credential")})
			}
		}
	}
	if s, ok := t.settings[keyPassword]; ok {
		ways = append(ways, way{s.Origin, rankFile, func(c *credentials) error { c.password = client.Secret(s.Words[0]); return nil }})
	}
	if s, ok := t.settings[keySecret]; ok {
		ways = append(ways, way{s.Origin, rankFile, func(c *credentials) error {
			return o.asClient(c, t.server, client.Secret(s.Words[0]))
		}})
	}
	ways = slices.DeleteFunc(ways, func(w way) bool { return w.rank == 0 })
	slices.SortStableFunc(ways, func(a, b way) int { return b.rank - a.rank })
	switch {
	case len(ways) == 0:
		return way{}, nil
	case len(ways) > 1 && ways[0].rank == ways[1].rank:
		return way{}, exitf(exitUsage, "%s and %s exclude each other; say in one way what to log in with", ways[0].place(flags), ways[1].place(flags))
	}
	return ways[0], nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readSecret reads the first line of a file, or of standard input if its name is -.
func readSecret(stdin io.Reader, name, flag string) (client.Secret, error) {
	if name != "-" {
		return readPasswordFile(name, flag)
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxPasswordFile))
	if err != nil {
		return "", exitf(exitUsage, "cannot read %s from standard input: %w", flag, err)
	}
	return firstLine(text), nil
}

// asClient makes the credentials for a client that logs in as itself.
func (o *serverOptions) asClient(c *credentials, server *url.URL, secret client.Secret) error {
	provider, err := o.provider(server)
	if err != nil {
		return err
	}
	provider.Secret = secret
	c.username = cmp.Or(c.username, o.oidcClient)
	c.tokens = provider.ClientCredentials()
	return nil
}

// provider returns the OpenID Connect provider that the flags name.
func (o *serverOptions) provider(server *url.URL) (login.OIDC, error) {
	issuer := cmp.Or(o.oidcIssuer, login.DefaultIssuer(server))
	hc, err := o.providerClient(issuer)
	if err != nil {
		return login.OIDC{}, err
	}
	return login.OIDC{Issuer: issuer, Client: o.oidcClient, Scopes: strings.Fields(o.oidcScopes), HTTP: hc}, nil
}

// providerClient checks the address of a provider and returns an HTTP client for it.
func (o *serverOptions) providerClient(issuer string) (*http.Client, error) {
	u, err := parseServerURL(issuer)
	if err != nil {
		return nil, exitf(exitUsage, "--oidc-issuer: %w", err)
	}
	if u.Scheme == "http" && !o.allowHTTP && !isLoopback(u.Hostname()) {
		who := u.Host
		if o.oidcIssuer != "" {
			who = "the identity provider " + who
		}
		return nil, exitf(exitUsage, "http:// to %s would show the login to the network; use https://, or --allow-http if you accept that", who)
	}
	hc, err := client.NewHTTPClient(o.clientConfig(u, credentials{}, nil))
	if err != nil {
		return nil, exitf(exitUsage, "%w", err)
	}
	return hc, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// loginStores returns the stores for logins on this machine, the preferred one first.
func (o *serverOptions) loginStores() []login.Store {
	var stores []login.Store
	if hasKeyring() {
		stores = append(stores, login.Keyring{})
	}
	if o.stateDir != "" {
		stores = append(stores, login.Files{Dir: filepath.Join(o.stateDir, loginsDir)})
	}
	return stores
}

// loginsDir is the subdirectory of the state directory that holds the logins.
const loginsDir = "logins"

// stored returns the credentials that 'downloadfs login' has stored for the server,
// or for one user of it.
func (o *serverOptions) stored(server *url.URL, c credentials) (credentials, error) {
	key := accountKey(server, c.username)
	entry, store, err := login.Find(o.loginStores(), key)
	if err == nil && entry.Kind == login.KindAlias {
		key = accountKey(server, entry.Username)
		entry, store, err = login.Find(o.loginStores(), key)
	}
	if errors.Is(err, login.ErrNone) && c.username != "" {
		key = accountKey(server, "")
		if entry, store, err = login.Find(o.loginStores(), key); err == nil && (entry.Username != c.username || entry.Kind == login.KindAlias) {
			err = login.ErrNone
		}
	}
	switch {
	case errors.Is(err, login.ErrNone) && o.clientCert != "":
		// The server, or what is in front of it, knows the account by the certificate.
		c.tokens = func(context.Context, bool) (client.Token, error) { return client.Token{}, nil }
		c.source = "--client-cert"
		return c, nil
	case errors.Is(err, login.ErrNone) && c.username == "":
		return credentials{}, exitf(exitUsage, "no user name; set %s (and %s, or give --password-file), or run: downloadfs login %s", envUsername, envPassword, server)
	case errors.Is(err, login.ErrNone):
		return credentials{}, exitf(exitUsage, "no password for %s; set %s or give --password-file, or run: downloadfs login --username %s %s", c.username, envPassword, shellquote.Join(c.username), server)
	case err != nil:
		return credentials{}, exitf(exitLogin, "cannot read the login for %s: %w", server, err)
	}
	c.username, c.source = entry.Username, fmt.Sprintf("the login in %s ('downloadfs login' makes another)", store)
	switch entry.Kind {
	case login.KindPassword:
		c.password = entry.Secret
	case login.KindOIDC:
		hc, err := o.providerClient(entry.Issuer)
		if err != nil {
			return credentials{}, err
		}
		c.tokens = login.OIDC{Issuer: entry.Issuer, Client: entry.Client, HTTP: hc}.Stored(store, key)
	default:
		return credentials{}, exitf(exitLogin, "the login for %s is of a kind that this version does not know; run 'downloadfs login' again", server)
	}
	return c, nil
}
