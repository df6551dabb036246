package main

import (
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"downloadfs/client"
)

// serverOptions are the flags of every command that talks to a server.
type serverOptions struct {
	loginOptions
	stateDir     string
	retryTimeout time.Duration
	caCert       string
	clientCert   string
	clientKey    string
	allowHTTP    bool
}

func (o *serverOptions) addFlags(f *pflag.FlagSet) {
	o.loginOptions.addFlags(f)
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir(), "where to remember downloads; one directory per server and user is made in it")
	f.DurationVar(&o.retryTimeout, "retry-timeout", 2*time.Minute, "how long the server may be unreachable before readers get EHOSTUNREACH; 5 seconds at most when the mount starts")
	f.StringVar(&o.caCert, "ca-cert", "", "trust the certificate authorities in this PEM file, besides the system's")
	f.StringVar(&o.clientCert, "client-cert", "", "show the certificate in this PEM file to the server; it is read again when it has changed")
	f.StringVar(&o.clientKey, "client-key", "", "the key of --client-cert, if it is not in the same file")
	f.BoolVar(&o.allowHTTP, "allow-http", false, "send the password over unencrypted http to a server that is not this machine")
}

func (o *serverOptions) check() error {
	var errs []error
	if o.retryTimeout <= 0 {
		errs = append(errs, badValue("retry-timeout", "%v is not positive", o.retryTimeout))
	}
	if o.clientKey != "" && o.clientCert == "" {
		errs = append(errs, exitf(exitUsage, "--client-key is of no use without --client-cert"))
	}
	return errors.Join(errs...)
}

// clientConfig returns the client's configuration for server.
func (o *serverOptions) clientConfig(server *url.URL, login credentials, log *slog.Logger) client.Config {
	return client.Config{
		URL:            server.String(),
		Username:       login.username,
		Password:       login.password,
		PasswordSource: login.passwords,
		TokenSource:    login.tokens,
		CACert:         o.caCert,
		ClientCert:     o.clientCert,
		ClientKey:      o.clientKey,
		AllowHTTP:      o.allowHTTP,
		UserAgent:      "downloadfs/" + versionText(),
		Logger:         log,

		// A silent request or connection must not use up all of a short budget.
		MaxElapsed:     o.retryTimeout,
		RequestTimeout: min(time.Minute, o.retryTimeout/2),
		IdleTimeout:    min(30*time.Second, o.retryTimeout/4),
	}
}
