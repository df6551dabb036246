package integration

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// companyProxy is what stands between an office and the world. Whatever host it is
// asked for, it leads to one server, so that only through it a name can be reached.
type companyProxy struct {
	login string // USER:PASSWORD that it wants; empty: none

	mu    sync.Mutex
	asked []string // "METHOD host"
	srv   *httptest.Server
	to    string // address
}

func startCompanyProxy(t testing.TB, to, login string) *companyProxy {
	p := &companyProxy{to: to, login: login}
	p.srv = httptest.NewServer(p)
	t.Cleanup(func() { p.srv.CloseClientConnections(); p.srv.Close() })
	return p
}

func (p *companyProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// address is what HTTPS_PROXY says, with a login.
func (p *companyProxy) address(login string) string {
	if login != "" {
		login += "@"
	}
	return "http://" + login + p.srv.Listener.Addr().String()
}

func (p *companyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if p.login != "" && r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(p.login)) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="Company"`)
		http.Error(w, "Proxy Authentication Required", http.StatusProxyAuthRequired)
		return
	}
	if r.Method != http.MethodConnect {
		r.RequestURI, r.URL.Host = "", p.to
		r.Header.Del("Proxy-Authorization")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
		return
	}
	back, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer back.Close()
	w.WriteHeader(http.StatusOK)
	front, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer front.Close()
	go func() { _, _ = io.Copy(back, buf); back.Close() }()
	_, _ = io.Copy(front, back)
}

// TestProxyOfTheEnvironment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY say how a server
// is reached, and a proxy that wants a login gets the one that is there.
// Proves S-153.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const name, login = "alfresco.test", "finn:pr0xy-s3cret"
	server := harness.StartServer(t, harness.Samples(t))
	ca := faults.NewAuthority(t)
	secure := faults.NewTLSServer(t, server.URL, ca.Issue(time.Now().Add(time.Hour), name))
	plain := faults.NewServer(t, server.URL)
	for _, c := range []struct {
		name  string
		http  bool   // http:// in place of https://
		wants string // the proxy's login
		given string
		no    string // NO_PROXY
		code  int    // of the mount; 0: it works
		says  string
	}{
		{name: "https"},
		{name: "https with a login", wants: login, given: login},
		{name: "https without its login", wants: login, code: 4, says: "wants a login; give it in HTTPS_PROXY"},
		{name: "https with another login", wants: login, given: "finn:wr0ng", code: 4, says: "refuses the login that is in HTTPS_PROXY"},
		{name: "https without the proxy", no: "example.com, .test", code: 4, says: "cannot reach https://" + name},
		{name: "http", http: true},
		{name: "http with a login", http: true, wants: login, given: login},
		{name: "http without its login", http: true, wants: login, code: 4, says: "wants a login; give it in HTTP_PROXY"},
		{name: "http without the proxy", http: true, no: name, code: 4, says: "cannot reach http://" + name},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			scheme, variable, method, port, to := "https://", "HTTPS_PROXY", "CONNECT", ":443", secure
			if c.http {
				scheme, variable, method, port, to = "http://", "HTTP_PROXY", "POST", "", plain
			}
			proxy := startCompanyProxy(t, to.Addr(), c.wants)
			m, failure := harness.TryMount(t, server, harness.MountOptions{
				URL: scheme + name, Flags: []string{"--ca-cert", ca.File(), "--allow-http", "--prefetch", "off", "--retry-timeout", shortBudget},
				Allow: []string{"trying again"}, Env: []string{variable + "=" + proxy.address(c.given), "NO_PROXY=" + c.no},
			})
			if c.code != 0 {
				require.NotNil(t, failure, "it mounted")
				assert.Equal(t, c.code, failure.Code, "%+v", failure)
				assert.Contains(t, failure.Line, c.says)
				assert.NotContains(t, failure.Line, "s3cret")
				assert.NotContains(t, failure.Line, "wr0ng")
				if c.no != "" {
					assert.Empty(t, proxy.requests())
				}
				return
			}
			require.Nil(t, failure, "%+v", failure)
			r := &faultRig{server: server, http: to, mount: m, strange: plain}
			id := r.create(t)
			r.rightBytes(t, id, r.read(t, id).Wait())
			r.mount.Sh(t, "rm -r "+id).OK(t)
			r.forgotten(t, id)
			assert.Contains(t, proxy.requests(), method+" "+name+port)
			assert.NotContains(t, m.Log.Text(), "s3cret")
		})
	}
	t.Run("not for this machine", func(t *testing.T) {
		t.Parallel()
		u, err := url.Parse(server.URL)
		require.NoError(t, err)
		proxy := startCompanyProxy(t, u.Host, "")
		for _, host := range []string{"127.0.0.1", "localhost"} {
			m := harness.StartMount(t, server, harness.MountOptions{URL: strings.Replace(server.URL, "127.0.0.1", host, 1),
				Env: []string{"HTTP_PROXY=" + proxy.address("")}})
			assert.Empty(t, m.List(t))
		}
		assert.Empty(t, proxy.requests())
	})
}
