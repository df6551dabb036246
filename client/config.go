package client

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"downloadfs/download"
)

// Config is what a Client needs. Only URL and credentials are required.
//
// The password is sent once, for a ticket: that spares the server checking it,
// often at a directory service, with each request. The ticket is renewed when the
// server has forgotten it and is never deleted: a user has one ticket, which the
// user's other programs hold too. A server without the tickets API is spoken to
// with basic authentication instead.
type Config struct {
	// URL is the server, such as https://ecm.example.org; with /alfresco, with
	// the whole API root or with a trailing slash it means the same.
	URL string
	// Username and Password are the account's. A Password that starts with
	// TICKET_ is a ticket made elsewhere, whatever the Username: it is used as it
	// is and cannot be renewed.
	Username string
	Password Secret
	// PasswordSource, if set, gives the password instead, each time anew.
	PasswordSource PasswordSource
	// TokenSource, if set, gives a token instead of user name and password.
	TokenSource TokenSource
	// CACert is a PEM file of certificates that are trusted in addition to the
	// system's.
	CACert string
	// ClientCert and ClientKey are PEM files of a certificate to show to the server,
	// and of its key, which may be in the file of the certificate. They are read
	// again when they have changed.
	ClientCert, ClientKey string
	// AllowHTTP permits http:// to hosts other than this machine, which shows
	// the password and all content to the network.
	AllowHTTP bool
	UserAgent string
	Logger    *slog.Logger

	// DialTimeout bounds making a connection (default 10 s), TLSTimeout the TLS
	// handshake (10 s), RequestTimeout the first attempt at an answer other than
	// content (30 s); each further attempt waits twice as long. The answer to a
	// Create is awaited for MaxElapsed if that is longer, since it must not be
	// sent again.
	DialTimeout    time.Duration
	TLSTimeout     time.Duration
	RequestTimeout time.Duration
	// IdleTimeout is how long a stream may go without a byte before its
	// connection is dropped (30 s). A slow stream that moves is left alone. For
	// the first byte, each further attempt waits twice as long: some content
	// stores read all that comes before it.
	IdleTimeout time.Duration
	// MaxElapsed is the retry budget: how long one call keeps trying while the
	// server cannot be reached (2 min). Negative: every call is tried once.
	MaxElapsed time.Duration
	// LoginHold is how long, after the server refused the credentials, they are
	// not sent again (30 s, doubling up to 5 min), so that a changed password
	// does not lock the account. Calls in that time fail at once.
	LoginHold time.Duration
}

// withDefaults returns cfg with defaults filled in, or an error that says which
// setting is wrong. The error never holds the password.
func (cfg Config) withDefaults() (Config, error) {
	if strings.EqualFold(cfg.Username, "ROLE_TICKET") { // to the server that is in any case
		cfg.Username = ""
	}
	switch {
	case cfg.fixedTicket(), cfg.TokenSource != nil:
	case cfg.Username == "":
		return cfg, invalid("no user name was given (ALFRESCO_USERNAME)")
	case strings.ContainsRune(cfg.Username, ':'):
		return cfg, invalid("a user name cannot hold a colon")
	case cfg.Password == "" && cfg.PasswordSource == nil:
		return cfg, invalid("no password was given (ALFRESCO_PASSWORD)")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "downloadfs"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg.withTimes(), nil
}

// withTimes returns cfg with the defaults of its times filled in.
func (cfg Config) withTimes() Config {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&cfg.DialTimeout, 10 * time.Second},
		{&cfg.TLSTimeout, 10 * time.Second},
		{&cfg.RequestTimeout, 30 * time.Second},
		{&cfg.IdleTimeout, 30 * time.Second},
		{&cfg.MaxElapsed, 2 * time.Minute},
		{&cfg.LoginHold, 30 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	return cfg
}

// fixedTicket reports whether the password is a ticket.
func (cfg Config) fixedTicket() bool {
	return isTicket(cfg.Password.Reveal())
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, download.ErrInvalid)...)
}
