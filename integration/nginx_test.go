package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
	"downloadfs/integration/ports"
)

// startNginx starts a real nginx. In config, which is what is within http { … },
// LISTEN is its address, UPSTREAM that of the server behind it and DIR a directory
// with cert.pem and key.pem.
func startNginx(t testing.TB, host, upstream, config string, cert *tls.Certificate) (addr string) {
	t.Helper()
	addr = ports.FreeOf(t, host)
	dir := harness.Dir(t, harness.User{})
	if cert != nil {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	}
	config = "daemon off; master_process off; pid DIR/pid; error_log DIR/error.log; events {} http { access_log off;" +
		" client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;" +
		" proxy_http_version 1.1;\n" + config + "\n}\n"
	config = strings.NewReplacer("LISTEN", addr, "UPSTREAM", upstream, "DIR", dir).Replace(config)
	harness.Tree(t, dir, map[string]string{"nginx.conf": config})
	p := harness.Cmd{Name: harness.Tool(t, "nginx"), Args: []string{"-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log")},
		Timeout: 5 * harness.Timeout}.Start(t)
	t.Cleanup(func() {
		if p.Running() {
			p.Signal(t, syscall.SIGTERM)
		}
		p.Wait()
	})
	harness.Eventually(t, harness.Timeout, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "nginx does not answer: %s", p.Output())
	return addr
}

// everySecond is a condition of a rule: each second request that it is asked about.
func everySecond() func(*http.Request) bool {
	var n atomic.Int64
	return func(*http.Request) bool { return n.Add(1)%2 == 0 }
}

// TestBehindNginx does the main job through a real nginx, set up as administrators do.
// Proves S-152.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	const pass = "server { listen LISTEN; location / { proxy_pass http://UPSTREAM; } }"
	server := harness.StartServer(t, harness.Samples(t), "--archive-rate", "2M")
	ca := faults.NewAuthority(t)
	cert := ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	for name, c := range map[string]struct {
		config string
		cert   *tls.Certificate
		host   string // 127.0.0.1 if empty
		path   string // of the address given
		flags  []string
		rules  []faults.Rule
		then   func(t *testing.T, r *faultRig)
	}{
		"context path":       {config: "server { listen LISTEN; location /ecm/alfresco/ { proxy_pass http://UPSTREAM/alfresco/; } }", path: "/ecm/share/page/user/finn/dashboard"},
		"gzip of everything": {config: "gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; gzip_http_version 1.0;" + pass},
		"HTTP/2 over TLS": {config: "server { listen LISTEN ssl http2; ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem;" +
			" location / { proxy_pass http://UPSTREAM; } }", cert: &cert, path: "/workspace/#/libraries", flags: []string{"--ca-cert", ca.File()}},
		"IPv6 literal":  {config: pass, host: "::1"},
		"no long lists": {config: "client_max_body_size 20k;" + pass, then: tooLongForNginx},
		"cookies it changes": {config: `server { listen LISTEN; add_header Set-Cookie "SID=$request_id; Path=/; HttpOnly" always;
			location / { if ($http_cookie !~ "SID=[0-9a-f]") { return 401; } proxy_pass http://UPSTREAM; }
			location ~ /tickets$ { proxy_pass http://UPSTREAM; } }`},
		"states that go back": {config: pass, rules: []faults.Rule{
			{On: faults.Get, If: everySecond(), Fault: faults.Entry("an earlier state", func(e map[string]any) {
				e["status"], e["bytesAdded"], e["filesAdded"], e["totalBytes"], e["totalFiles"] = "PENDING", 0, 0, 0, 0
			})}}},
		"content that is not there yet": {config: pass, rules: []faults.Rule{{On: faults.Content, Times: 2, Fault: faults.Status(404)}}},
		"one node knows nothing": {config: pass, rules: []faults.Rule{
			{On: faults.Get, If: everySecond(), Fault: faults.Status(404)}, {On: faults.Cancel, Times: 1, Fault: faults.Status(404)},
			{On: faults.Delete, Times: 1, Fault: faults.Status(404)}, {On: faults.Node, If: everySecond(), Fault: faults.Status(404)}}},
		"few requests a second": {config: "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/s;" +
			" server { listen LISTEN; location / { proxy_pass http://UPSTREAM; } location ~ /downloads$ { limit_req zone=z; proxy_pass http://UPSTREAM; } }",
			then: listsAtOnce},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := "127.0.0.1"
			if c.host != "" {
				host = c.host
				if l, err := net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
					t.Skip("this machine has no such address: ", err)
				} else {
					l.Close()
				}
			}
			r := &faultRig{server: server, http: faults.NewServer(t, server.URL), strange: faults.NewServer(t, server.URL)}
			scheme := "http://"
			if c.cert != nil {
				scheme = "https://"
			}
			url := scheme + startNginx(t, host, r.http.Addr(), c.config, c.cert)
			r.mount = harness.StartMount(t, server, harness.MountOptions{
				URL: url + c.path, Flags: append(c.flags, "--prefetch", "off"), Allow: []string{`"level":"WARN"`},
			})
			t.Cleanup(func() { r.unharmed(t) })
			for _, rule := range c.rules {
				r.http.Inject(rule)
			}
			id := r.create(t)
			read := r.read(t, id).Wait()
			r.rightBytes(t, id, read)
			assert.Equal(t, "DONE", r.mount.Status(t, id, "status"))
			if c.then != nil {
				c.then(t, r)
			}
			r.mount.Sh(t, "rm -r "+id).OK(t)
			r.forgotten(t, id)
			// The name of a file in the cache is as long as a cookie.
			assert.NotRegexp(t, `SID=|[^/\w][0-9a-f]{32}\b`, r.mount.Log.Text(), "a cookie is in the log")
		})
	}
}

// tooLongForNginx: a list that nginx does not pass on, and one that it does.
func tooLongForNginx(t *testing.T, r *faultRig) {
	var ids strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&ids, "%08x-0000-4000-8000-000000000000\n", i)
	}
	before := r.http.Count(faults.Create)
	seen{errno: syscall.EFBIG, says: "as several lists"}.check(t, r.write(t, ids.String()).Wait(), r.outcome(t))
	assert.Equal(t, before, r.http.Count(faults.Create), "nginx has passed it on")
	r.create(t)
}

// listsAtOnce: lists that nginx turns away are sent again.
func listsAtOnce(t *testing.T, r *faultRig) {
	var writers []*harness.Process
	for range 4 {
		writers = append(writers, r.write(t, "/"+photos))
	}
	for _, w := range writers {
		w.Wait().OK(t)
	}
	assert.Len(t, r.mount.List(t), 5)
}
