package main

import (
	"cmp"
	"net/url"
	"os"

	"github.com/spf13/pflag"

	"downloadfs/login"
)

// The environment variables of Kerberos.
const (
	envTickets  = "KRB5CCNAME"
	envKrb5Conf = "KRB5_CONFIG"
)

// kerberosWay returns the way to log in that --kerberos and --keytab say. Both together
// are the keytab.
func (o *serverOptions) kerberosWay(flags *pflag.FlagSet, server *url.URL) way {
	w := way{use: func(c *credentials) error { return o.byKerberos(c, server) }}
	if o.kerberos {
		w.name, w.rank = "--kerberos", rankOf(flags.Lookup("kerberos"))
	}
	if rank := rankOf(flags.Lookup("keytab")); o.keytab != "" && rank >= w.rank {
		w.name, w.rank = "--keytab", rank
	}
	return w
}

// byKerberos makes the credentials of tickets.
func (o *serverOptions) byKerberos(c *credentials, server *url.URL) error {
	tickets, err := o.tickets(c.username, server)
	if err != nil {
		return err
	}
	c.username = cmp.Or(c.username, tickets.Principal())
	c.fromTokens(tickets.Token)
	return nil
}

// tickets opens the tickets for the server. username may be empty.
func (o *serverOptions) tickets(username string, server *url.URL) (*login.Tickets, error) {
	if server.Scheme != "https" && !isLoopback(server.Hostname()) {
		return nil, exitf(exitUsage, "Kerberos is for https:// only: over http:// the network would see what it protects")
	}
	tickets, err := login.Kerberos{
		Host: server.Hostname(), Principal: username, Keytab: o.keytab,
		Cache: os.Getenv(envTickets), Conf: os.Getenv(envKrb5Conf), UID: os.Geteuid(),
	}.Open()
	if err != nil {
		return nil, exitf(exitLogin, "cannot log in by Kerberos: %w", err)
	}
	return tickets, nil
}
