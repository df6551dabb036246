package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"downloadfs/client"
)

// connection is a server that a command other than mount talks to.
type connection struct {
	*client.Client
	target target
	login  credentials
}

// connect logs in to t's server. Its errors carry exit codes.
func (o *serverOptions) connect(ctx context.Context, cmd *cobra.Command, t target, log *slog.Logger) (*connection, error) {
	password, err := takeEnvironment(envPassword)
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	login, err := o.login(cmd, t, password)
	if err != nil {
		return nil, err
	}
	c, err := client.New(o.clientConfig(t.server, login, log))
	if err != nil {
		return nil, exitf(exitUsage, "%w", err)
	}
	offline, err := checkServer(ctx, c, t.server, login)
	if offline != nil {
		err = exitf(exitUnreachable, "%w", offline)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &connection{c, t, login}, nil
}

// findAnyServer returns the server that name (URL or PROFILE) names. Without a name,
// it returns the server of the first item that is a URL, or else the only profile.
func findAnyServer(cmd *cobra.Command, name string, items []string) (target, error) {
	if name != "" {
		return findServer(cmd, name)
	}
	for _, item := range items {
		if u, err := url.Parse(item); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return findServer(cmd, (&url.URL{Scheme: u.Scheme, Host: u.Host}).String())
		}
	}
	stack, err := readConfig(cmd)
	if err != nil {
		return target{}, err
	}
	switch names := stack.Names(); len(names) {
	case 0:
		return target{}, exitf(exitUsage, "which server? give --server URL, or put it into a profile: see downloadfs config --help")
	case 1:
		return findServer(cmd, names[0])
	default:
		return target{}, exitf(exitUsage, "which server? give --server with a URL, or one of the profiles %s", strings.Join(names, ", "))
	}
}

// isTerminal reports whether a person looks at what is written to w.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && termIsTerminal(f) && cmp.Or(os.Getenv("TERM"), "dumb") != "dumb"
}
