package client

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// contentServer is the path at which Alfresco serves its repository by default.
const contentServer = "alfresco"

// webApps are the paths, besides the repository's, of the parts of an Alfresco server
// that people see in a browser.
var webApps = []string{"share", "workspace", "digital-workspace", "content-app", "aca", "adw", "control-center", "api-explorer"}

// apiRoot matches the path of an API root, with what may follow it, or cut short. The
// groups are what is in front of it, and the tenant.
var apiRoot = regexp.MustCompile(`^(.*)/api(?:/([^/]+)(?:/public(?:/.*)?)?)?$`)

// hostAndPort matches an address that lacks its scheme and can hold no secret.
var hostAndPort = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}:[0-9]{1,5}/?$`)

// endpoints are the two API roots in use, without a slash at the end.
type endpoints struct {
	base *url.URL // the server, for messages
	core string
	auth string
}

// ServerURL finds the server from an address that a person has: the server's own, its
// API's, or one that a browser shows, such as https://HOST/share/page/site/x/dashboard.
// It returns the shortest address that means the same server. Its errors never hold the
// address as it was given, which may contain a secret.
func ServerURL(address string) (*url.URL, error) {
	address = strings.TrimSpace(address)
	u, err := url.Parse(address)
	switch {
	case address == "":
		return nil, invalid("no server URL was given")
	case hostAndPort.MatchString(address): // the parser reads some of these as a scheme
		return nil, invalid("the server URL %q must begin with https:// (or http://)", address)
	case err != nil:
		// The parser's error quotes the text, which may hold a password.
		return nil, invalid("the server URL cannot be read; write it like https://alfresco.example.com")
	case u.User != nil || u.Query().Has("alf_ticket") || strings.Contains(address, "TICKET_"):
		return nil, invalid("the server URL holds a user name, a password or a ticket, which every local user can see; set ALFRESCO_USERNAME and ALFRESCO_PASSWORD")
	case u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "":
		return nil, invalid("the server URL %.128q must begin with https:// (or http://)", scrubURL(address))
	case u.Hostname() == "":
		return nil, invalid("the server URL %.128q names no host", scrubURL(address))
	}
	path, err := url.PathUnescape(serverPath(u.EscapedPath()))
	if err != nil {
		return nil, invalid("the server URL cannot be read; write it like https://alfresco.example.com")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: path}, nil
}

// serverPath cuts the path of an address down to the part in front of the repository's
// path, which is empty for most servers. If the repository has an unusual path, or
// belongs to a tenant, it keeps the API root.
func serverPath(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		next := ""
		if i+1 < len(parts) {
			next = parts[i+1]
		}
		switch {
		case part == contentServer && next == "api" && i+2 < len(parts) && parts[i+2] != "-default-":
			return slashed(parts[:i+1]) + "/api/" + parts[i+2] + "/public"
		case part == contentServer:
			return before(parts, i)
		case slices.Contains(webApps, part) && next != contentServer:
			return slashed(parts[:i])
		}
	}
	if m := apiRoot.FindStringSubmatch(slashed(parts)); m != nil {
		tenant := m[2]
		if tenant == "" {
			tenant = "-default-"
		}
		return m[1] + "/api/" + tenant + "/public"
	}
	return slashed(parts)
}

// before returns the part in front of the repository's path, which is parts[at]. It
// keeps the repository's path if the rest would be taken for something else.
func before(parts []string, at int) string {
	if at > 0 && slices.Contains(webApps, parts[at-1]) {
		at++
	}
	return slashed(parts[:at])
}

// slashed joins the parts of a path. No parts give "".
func slashed(parts []string) string {
	if path := strings.Join(parts, "/"); path != "" {
		return "/" + path
	}
	return ""
}

// parseURL reads the address a person gave. allowHTTP is Config.AllowHTTP.
func parseURL(s string, allowHTTP bool) (endpoints, error) {
	u, err := ServerURL(s)
	switch {
	case err != nil:
		return endpoints{}, err
	case u.Scheme == "http" && !allowHTTP && !isLoopback(u.Hostname()):
		return endpoints{}, invalid("http:// to %s would show the password to the network; use https://, or --allow-http if you accept that", u.Host)
	}
	return endpointsOf(u), nil
}

// endpointsOf returns the API roots of a server whose address is as ServerURL
// returns it.
func endpointsOf(server *url.URL) endpoints {
	root := *server
	root.Path = strings.TrimRight(root.Path, "/")
	if !apiRoot.MatchString(root.Path) {
		root.Path = strings.TrimSuffix(root.Path, "/"+contentServer) + "/" + contentServer + "/api/-default-/public"
	}
	public := root.String()
	return endpoints{base: server, core: public + "/alfresco/versions/1", auth: public + "/authentication/versions/1"}
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

// scrubURL cuts off the parts of a URL that can hold a secret.
func scrubURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	s, _, _ = strings.Cut(s, "#")
	if _, after, ok := strings.Cut(s, "@"); ok {
		return after
	}
	return s
}
