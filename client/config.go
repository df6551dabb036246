package client

import (
	"log/slog"
	"strings"
	"time"

	"downloadfs/download"
)

// Config is what a Client needs. Only URL and credentials are required.
//
// The password is sent once, to get a ticket. This saves the server from checking the
// password with each request, often at a directory service. The ticket is renewed when
// the server has forgotten it. It is never deleted: a user has one ticket, which the
// user's other programs hold too. With a server without the tickets API, the client
// uses basic authentication instead.
type Config struct {
	// URL is the server, for example https://ecm.example.org. With /alfresco, with the
	// whole API root or with a trailing slash it means the same.
	URL string
	// Username and Password are the account's. A Password that starts with TICKET_ is a
	// ticket made elsewhere, whatever the Username. It is used as it is and cannot be
	// renewed.
	Username string
	Password Secret
	// PasswordSource, if set, gives the password instead. It is asked each time.
	PasswordSource PasswordSource
	// TokenSource, if set, gives a token instead of user name and password.
	TokenSource TokenSource
	// CACert is a PEM file of certificates to trust in addition to the system's.
	CACert string
	// ClientCert and ClientKey are PEM files of a certificate to show to the server and
	// of its key, which may be in the certificate's file. They are read again when they
	// have changed.
	ClientCert, ClientKey string
	// AllowHTTP permits http:// to hosts other than this machine. That shows the
	// password and all content to the network.
	AllowHTTP bool
	UserAgent string
	Logger    *slog.Logger
	// Exchanged, if not nil, is told of each request that was sent: its purpose (one of
	// few words, the op of the log), the status of its answer, or 0 if there was none,
	// and how long the answer's head took. Many goroutines call it. It must not block.
	Exchanged func(purpose string, code int, took time.Duration)

	// DialTimeout bounds making a connection (default 10 s) and TLSTimeout the TLS
	// handshake (10 s). RequestTimeout bounds the first attempt at an answer other than
	// content (30 s); each further attempt waits twice as long. A Create waits for its
	// answer for MaxElapsed if that is longer, since it must not be sent again.
	DialTimeout    time.Duration
	TLSTimeout     time.Duration
	RequestTimeout time.Duration
	// IdleTimeout is how long a stream may go without a byte before its connection is
	// dropped (30 s). A slow stream that moves is left alone. Each further attempt
	// waits twice as long for the first byte: some content stores read everything that
	// comes before it.
	IdleTimeout time.Duration
	// MaxElapsed is the retry budget: how long one call keeps trying while the server
	// cannot be reached (2 min). If negative, every call is tried once.
	MaxElapsed time.Duration
	// LoginHold is how long the credentials are not sent again after the server refused
	// them (30 s, doubling up to 5 min). A changed password therefore does not lock the
	// account. Calls in that time fail at once.
	LoginHold time.Duration
}

// withDefaults returns cfg with defaults filled in, or an error that names the wrong
// setting. The error never holds the password.
func (cfg Config) withDefaults() (Config, error) {
	if strings.EqualFold(cfg.Username, "ROLE_TICKET") { // to the server, that is a ticket in any case
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

// invalid returns a download.ErrInvalid. Its text does not say so.
func invalid(format string, args ...any) error {
	return download.Because(download.ErrInvalid, format, args...)
}
