package client

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

// apiRoot matches the path of an API root and what it may be cut short to; the
// groups are what is in front of it (the web application, usually /alfresco)
// and the tenant.
var apiRoot = regexp.MustCompile(`^(.*)/api(?:/([^/]+)(?:/public(?:/(?:alfresco|authentication|discovery|search)(?:/versions(?:/1)?)?)?)?)?$`)

// endpoints are the two API roots in use, without a slash at the end.
type endpoints struct {
	base *url.URL // the server, for messages
	core string
	auth string
}

// parseURL reads the address a person gave. allowHTTP is Config.AllowHTTP.
func parseURL(s string, allowHTTP bool) (endpoints, error) {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	switch {
	case s == "":
		return endpoints{}, invalid("no server URL was given")
	case err != nil:
		// The parser's error quotes the text, which may hold a password.
		return endpoints{}, invalid("the server URL cannot be read: give it as https://HOST")
	case u.User != nil:
		return endpoints{}, invalid("the server URL holds a user name or password, which others can see: give them in ALFRESCO_USERNAME and ALFRESCO_PASSWORD")
	case u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return endpoints{}, invalid("the server URL %.128q must begin with https:// (or http://)", scrubURL(s))
	case u.Hostname() == "":
		return endpoints{}, invalid("the server URL %.128q names no host", scrubURL(s))
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return endpoints{}, invalid("the server URL must end before any ? or #: give it as %s://%s", u.Scheme, u.Host)
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return endpoints{}, invalid("http:// to %s would show the password to the network: use https://, or --allow-http if you accept that", u.Host)
	}
	app, tenant := strings.TrimRight(u.EscapedPath(), "/"), "-default-"
	if m := apiRoot.FindStringSubmatch(app); m != nil {
		app = m[1]
		if m[2] != "" {
			tenant = m[2]
		}
	} else if !strings.HasSuffix(app, "/alfresco") {
		app += "/alfresco"
	}
	base := &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	root := base.String() + app + "/api/" + tenant + "/public/"
	return endpoints{base: base, core: root + "alfresco/versions/1", auth: root + "authentication/versions/1"}, nil
}

// isLoopback reports whether host is this machine, by its name or address.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// scrubURL cuts off what of a URL can hold a secret.
func scrubURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	if _, after, ok := strings.Cut(s, "@"); ok {
		return after
	}
	return s
}
