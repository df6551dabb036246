package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
	"downloadfs/integration/idp"
)

// breaks is what a mount may say of a gate, which breaks connections off.
var breaks = []string{`"msg":"trying again"`}

// readSlowly makes a download on m and reads its archive, with requests enough for
// a login to end in the middle, and compares the bytes with the server's.
func readSlowly(t *testing.T, s *harness.Server, m *harness.Mount) {
	t.Helper()
	id := submit(t, m, photos)
	sum := m.Sh(t, "md5sum <"+id+"/archive.zip").Out(t)
	assert.Equal(t, archiveMD5(t, s, id)+"  -", sum)
}

// code is what login shows to a person.
var code = regexp.MustCompile(`enter the code (\S+)`)

// logInByDevice runs login until it shows a code, logs in as a person in a browser
// would, and waits for its end.
func logInByDevice(t *testing.T, p *idp.Provider, u harness.User, env []string, args ...string) harness.Result {
	t.Helper()
	login := harness.Cmd{User: u, Env: env, Name: harness.Binary(), Args: append([]string{"login", "--config", "/dev/null"}, args...)}.Start(t)
	harness.Eventually(t, harness.Timeout, func() bool {
		return code.MatchString(login.Output()) || !login.Running()
	}, "login shows no code")
	m := code.FindStringSubmatch(login.Output())
	require.NotNil(t, m, "%s", login.Output())
	p.Approve(t, m[1])
	return login.Wait()
}

// A person logs in once, by the device flow. Mounts go on with that while the
// tokens end every few seconds, in the middle of a read too, and after a restart.
// Proves S-109, S-118.
func TestDeviceLogin(t *testing.T) {
	t.Parallel()
	p := idp.Start(t, 3*time.Second)
	s := harness.StartServer(t, harness.Samples(t))
	var tokens secretList
	g := startGate(t, s.URL, gateOptions{takes: func(r *http.Request) bool { tokens.note(r); return p.Takes(r) }})
	u := harness.Ordinary(t)
	state := harness.Dir(t, u)

	r := logInByDevice(t, p, u, nil, "--state-dir", state, "--oidc-issuer", p.Issuer, g.url)
	require.Zero(t, r.Code, "%s", r)
	assert.Contains(t, r.Stdout, "logged in to "+g.url+" as ")
	mode := harness.ShAs(t, u, "stat -c %a "+state+"/logins "+state+"/logins/*").Out(t)
	assert.Equal(t, "700\n600", mode)

	m := harness.StartMount(t, s, harness.MountOptions{User: u, NoLogin: true, URL: g.url, StateDir: state, Flags: []string{"--config", "/dev/null", "--prefetch", "off"}, Allow: breaks})
	before, began := p.Tokens.Load(), time.Now()
	readSlowly(t, s, m)
	assert.Greater(t, p.Tokens.Load(), before, "no token ended in the middle of the read")
	// The provider ends the token before with each new one, so that requests on their
	// way may be refused.
	assert.LessOrEqual(t, p.Tokens.Load()-before, 5+4*int64(time.Since(began)/(3*time.Second)), "each request renewed the token")
	m.Unmount(t)
	m.Remount(t)
	m.Sh(t, "ls").OK(t)

	// Without the provider the mount starts, and says why it cannot go on.
	m.Unmount(t)
	p.Down.Store(true)
	m.Log.Allow(`"level":"WARN"`)
	m.Remount(t)
	p.Down.Store(false)
	m.Unmount(t)

	told := m.Log.Text() + r.Stdout + r.Stderr
	tokens.assertNotIn(t, "the log", told)
	assertNoSecret(t, "the log", told)

	logout := harness.Cmd{User: u, Name: harness.Binary(), Args: []string{"logout", "--config", "/dev/null", "--state-dir", state, g.url}}
	logout.Run(t).OK(t)
	assert.Equal(t, 1, logout.Run(t).Code, "nothing is left to forget")
	_, failure := harness.TryMount(t, s, harness.MountOptions{User: u, NoLogin: true, URL: g.url, StateDir: state, Flags: []string{"--config", "/dev/null"}})
	require.NotNil(t, failure)
	assert.Equal(t, 2, failure.Code)
	assert.Contains(t, failure.Line, "downloadfs login "+g.url)
}

// A service logs in itself, with a secret that systemd hands to it.
// Proves S-118.
func TestClientCredentialsMount(t *testing.T) {
	t.Parallel()
	p := idp.Start(t, 3*time.Second)
	s := harness.StartServer(t, harness.Samples(t))
	var tokens secretList
	g := startGate(t, s.URL, gateOptions{takes: func(r *http.Request) bool { tokens.note(r); return p.Takes(r) }})
	credentials := harness.Dir(t, harness.User{})
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "alfresco-client-secret"), []byte(idp.ServiceSecret+"\n"), 0o400))
	m := harness.StartMount(t, s, harness.MountOptions{
		NoLogin: true, URL: g.url, Env: []string{"CREDENTIALS_DIRECTORY=" + credentials},
		Flags: []string{"--config", "/dev/null", "--oidc-issuer", p.Issuer, "--oidc-client", idp.Service, "--oidc-scopes", "openid", "--prefetch", "off"},
		Allow: breaks,
	})
	before := p.Tokens.Load()
	readSlowly(t, s, m)
	assert.Greater(t, p.Tokens.Load(), before, "no token ended in the middle of the read")
	tokens.assertNotIn(t, "the log", m.Log.Text())
	assert.NotContains(t, m.Log.Text(), idp.ServiceSecret)

	require.NoError(t, os.Chmod(filepath.Join(credentials, "alfresco-client-secret"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "alfresco-client-secret"), []byte("wr0ng-secret\n"), 0o600))
	_, failure := harness.TryMount(t, s, harness.MountOptions{
		NoLogin: true, URL: g.url, Env: []string{"CREDENTIALS_DIRECTORY=" + credentials},
		Flags: []string{"--config", "/dev/null", "--oidc-issuer", p.Issuer, "--oidc-client", idp.Service},
	})
	require.NotNil(t, failure)
	assert.Equal(t, 3, failure.Code)
	assert.NotContains(t, failure.Line, "wr0ng-secret")
}

// The command of a password is run for each login: at the start, and when the
// server has forgotten the ticket in the middle of a read; not for each request.
// Proves S-126.
func TestPasswordCommandMount(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	g := startGate(t, s.URL, gateOptions{each: func(n int64) {
		if n == 2 || n == 4 {
			endTickets(t, s)
		}
	}})
	dir := harness.Dir(t, harness.User{})
	runs, script := filepath.Join(dir, "runs"), filepath.Join(dir, "secret tool")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho run >>'"+runs+"'\nenv >>'"+runs+"'\nprintf '%s\\nuser: x\\n' \"$1\"\n"), 0o700))
	config := configFile(t, harness.User{}, "profiles:\n  work:\n    url: "+g.url+"\n    username: "+harness.AdminName+
		"\n    password-command: ["+fmt.Sprintf("%q, %q", script, harness.AdminPassword)+"]\n")
	m := harness.StartMount(t, s, harness.MountOptions{NoLogin: true, URL: "work", Flags: []string{"--config", config, "--prefetch", "off"}, Allow: breaks})
	readSlowly(t, s, m)
	told, err := os.ReadFile(runs)
	require.NoError(t, err)
	n := bytes.Count(told, []byte("run\n"))
	assert.GreaterOrEqual(t, n, 3, "logins: one at the start, one for each end of the ticket")
	assert.LessOrEqual(t, n, 5)
	assertNoSecret(t, "the log", m.Log.Text())

	_, failure := harness.TryMount(t, s, harness.MountOptions{
		Username: harness.AdminName, NoLogin: true, Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName},
		Flags: []string{"--config", "/dev/null", "--password-command", "sh -c 'echo the vault is locked >&2; exit 1'"},
	})
	require.NotNil(t, failure)
	assert.Equal(t, 3, failure.Code)
	assert.Contains(t, failure.Line, "the vault is locked")
}

// A token is asked of its command when it is about to end, and once when it is
// refused.
// Proves S-126.
func TestTokenCommandMount(t *testing.T) {
	t.Parallel()
	dir := harness.Dir(t, harness.User{})
	token := filepath.Join(dir, "token")
	set := func(text string) { require.NoError(t, os.WriteFile(token, []byte(text+"\n"), 0o600)) }
	set("first-token-5e1")
	s := harness.StartServer(t, harness.Samples(t))
	g := startGate(t, s.URL, gateOptions{
		takes: func(r *http.Request) bool {
			now, err := os.ReadFile(token)
			return err == nil && r.Header.Get("Authorization") == "Bearer "+strings.TrimSpace(string(now))
		},
		each: func(n int64) {
			if n == 3 {
				set("second-token-5e2")
			}
		},
	})
	m := harness.StartMount(t, s, harness.MountOptions{NoLogin: true, URL: g.url, Flags: []string{"--config", "/dev/null", "--token-command", "cat " + token, "--prefetch", "off"}, Allow: breaks})
	readSlowly(t, s, m)
	assert.NotZero(t, g.refused.Load(), "the first token was never refused")
	assert.LessOrEqual(t, g.refused.Load(), int64(8))
	assert.NotRegexp(t, `(first|second)-token-5e`, m.Log.Text())
}

// A password may come on standard input, from whatever starts the mount.
// Proves S-108, S-109.
func TestPasswordOnStandardInput(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, harness.User{})
	r := harness.Cmd{
		Env: []string{"ALFRESCO_USERNAME=" + harness.AdminName}, Stdin: strings.NewReader("wr0ng-one\n"),
		Name: harness.Binary(), Args: []string{"mount", "--config", "/dev/null", "--password-file", "-", "--state-dir", dir, "--cache-dir", dir + "/cache", s.URL, harness.Dir(t, harness.User{})},
	}.Run(t)
	assert.Equal(t, 3, r.Code, "%s", r)
	assert.NotContains(t, r.Stderr, "wr0ng-one")

	login := func(password string) harness.Result {
		return harness.Cmd{
			Stdin: strings.NewReader(password + "\n"), Name: harness.Binary(),
			Args: []string{"login", "--config", "/dev/null", "--password", "--username", harness.AdminName, "--state-dir", dir, s.URL},
		}.Run(t)
	}
	r = login("wr0ng-one")
	assert.Equal(t, 3, r.Code, "%s", r)
	login(harness.AdminPassword).OK(t)
	assert.Equal(t, 3, login("wr0ng-one").Code, "a mistyped one does not take the place of the one that works")
	// It is that of whoever names no user, too.
	m := harness.StartMount(t, s, harness.MountOptions{NoLogin: true, StateDir: dir, Flags: []string{"--config", "/dev/null"}})
	m.Sh(t, "ls").OK(t)
	harness.Run(t, harness.Timeout, harness.Binary(), "logout", "--config", "/dev/null", "--state-dir", dir, s.URL).OK(t)
	left, err := os.ReadDir(dir + "/logins")
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A server behind single sign-on is told apart from a wrong URL.
// Proves S-119.
func TestWebLoginMount(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	g := startGate(t, s.URL, gateOptions{
		takes: func(*http.Request) bool { return false },
		refuse: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.org/realms/alfresco/protocol/openid-connect/auth?client_id=share&response_type=code&state=TICKET_0123456789", http.StatusFound)
		},
	})
	m, failure := harness.TryMount(t, s, harness.MountOptions{URL: g.url})
	require.Nil(t, m)
	assert.Equal(t, 3, failure.Code)
	assert.Contains(t, failure.Line, "single sign-on")
	assert.Contains(t, failure.Line, "downloadfs login")
	assertNoSecret(t, "the error", failure.Line)
}

// endTickets makes the server forget the administrator's ticket.
func endTickets(t *testing.T, s *harness.Server) {
	t.Helper()
	const api = "/alfresco/api/-default-/public/authentication/versions/1/tickets"
	code, body := s.Do(t, "POST", api, fmt.Appendf(nil, `{"userId":%q,"password":%q}`, harness.AdminName, harness.AdminPassword))
	require.Equal(t, http.StatusCreated, code)
	ticket := regexp.MustCompile(`TICKET_\w+`).FindString(string(body))
	req, err := http.NewRequest("DELETE", s.URL+api+"/-me-?alf_ticket="+ticket, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// A server that wants a client certificate gets it, and another one when its files
// have been replaced, in the middle of a read.
// Proves S-117.
func TestClientCertificateMount(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, harness.Samples(t))
	ca := faults.NewAuthority(t)
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(ca.File())
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(pem))
	dir := harness.Dir(t, harness.User{})
	cert := filepath.Join(dir, "me.pem")
	ca.WritePerson(t, cert, "first")
	var seen sync.Map
	g := startGate(t, s.URL, gateOptions{
		tls: &tls.Config{
			Certificates: []tls.Certificate{ca.Issue(time.Now().Add(time.Hour), "127.0.0.1")},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots,
		},
		takes: func(r *http.Request) bool {
			seen.Store(r.TLS.PeerCertificates[0].Subject.CommonName, true)
			return r.Header.Get("Authorization") == ""
		},
		each: func(n int64) {
			if n == 3 {
				ca.WritePerson(t, cert, "second")
			}
		},
	})
	flags := []string{"--config", "/dev/null", "--ca-cert", ca.File(), "--prefetch", "off"}
	_, failure := harness.TryMount(t, s, harness.MountOptions{URL: g.url, Flags: flags})
	require.NotNil(t, failure)
	assert.Contains(t, failure.Line, "--client-cert")

	m := harness.StartMount(t, s, harness.MountOptions{NoLogin: true, URL: g.url, Flags: append(flags, "--client-cert", cert), Allow: breaks})
	readSlowly(t, s, m)
	for _, name := range []string{"first", "second"} {
		_, ok := seen.Load(name)
		assert.True(t, ok, "the %s certificate was not shown", name)
	}
}
