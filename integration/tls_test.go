package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// A server whose certificate is not right is refused before it is told anything.
// Proves S-88.
func TestCertificateIsRefused(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	ca, other := faults.NewAuthority(t), faults.NewAuthority(t)
	later := time.Now().Add(time.Hour)
	good := faults.NewTLSServer(t, server.URL, ca.Issue(later, "127.0.0.1"))
	notPEM := filepath.Join(harness.Dir(t, harness.User{}), "not.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("not a certificate\n"), 0o600))
	for _, c := range []struct {
		name   string
		server *faults.Server
		flags  []string
		code   int
		says   string
	}{
		{"unknown authority", good, nil, 4, "--ca-cert"},
		{"another authority", good, []string{"--ca-cert", other.File()}, 4, "--ca-cert"},
		{"wrong host", faults.NewTLSServer(t, server.URL, ca.Issue(later, "ecm.example.org", "127.0.0.2")),
			[]string{"--ca-cert", ca.File()}, 4, "not one for 127.0.0.1"},
		{"expired", faults.NewTLSServer(t, server.URL, ca.Issue(time.Now().Add(-time.Hour), "127.0.0.1")),
			[]string{"--ca-cert", ca.File()}, 4, "has expired"},
		{"no PEM", good, []string{"--ca-cert", notPEM}, 2, "--ca-cert"},
		{"missing file", good, []string{"--ca-cert", notPEM + ".missing"}, 2, "--ca-cert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.server.Count(faults.Any)
			m, failure := harness.TryMount(t, server, harness.MountOptions{URL: c.server.URL(), Flags: c.flags})
			require.Nil(t, m, "it mounted")
			assert.Equal(t, c.code, failure.Code, "%+v", failure)
			assert.Contains(t, failure.Line, c.says)
			assert.NotContains(t, failure.Line, "\n")
			assert.Equal(t, before, c.server.Count(faults.Any), "the server was told something")
		})
	}
	t.Run("not TLS", func(t *testing.T) {
		plain := faults.NewServer(t, server.URL)
		_, failure := harness.TryMount(t, server, harness.MountOptions{URL: "https://" + plain.Addr()})
		require.NotNil(t, failure)
		assert.NotZero(t, failure.Code)
		assert.Contains(t, failure.Line, "check scheme and port of the server URL")
		assert.Zero(t, plain.Count(faults.Any))
	})
}

// With its authority's certificate the server is spoken to, and a redirect out
// of TLS is not followed.
// Proves S-88.
func TestCACert(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	ca := faults.NewAuthority(t)
	r := &faultRig{server: server, strange: faults.NewServer(t, server.URL)}
	r.http = faults.NewTLSServer(t, server.URL, ca.Issue(time.Now().Add(time.Hour), "127.0.0.1"))
	r.mount = harness.StartMount(t, server, harness.MountOptions{
		URL: r.http.URL(), Flags: []string{"--ca-cert", ca.File(), "--prefetch", "off"}, Allow: []string{`"level":"WARN"`},
	})
	t.Cleanup(func() { r.unharmed(t) })
	id := r.done(t)
	out := r.http.Inject(faults.Rule{On: faults.Content, Fault: faults.RedirectTo(302, r.strange.URL())})
	seesStrange.check(t, r.read(t, id).Wait(), seesStrange.says)
	assert.Zero(t, r.strange.Count(faults.Any), "a redirect out of TLS was followed")
	out.Remove()
	r.rightBytes(t, id, r.read(t, id).Wait())
}
