package integration

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
	"downloadfs/integration/ports"
)

// realm is what the tests' KDC is for.
const realm = "EXAMPLE.TEST"

// kdc is a real key distribution centre, with the users finn (with a password) and
// batch (with a keytab), and the service HTTP/localhost.
type kdc struct {
	dir  string // files that every user can read
	addr string
	p    *harness.Process
	env  []string // what its programs need
}

const kdcPassword = "k3rberos-passw0rd"

func startKDC(t *testing.T) *kdc {
	t.Helper()
	k := &kdc{dir: harness.Dir(t, harness.User{}), addr: ports.Free(t)}
	fill := strings.NewReplacer("DIR", k.dir, "ADDR", k.addr, "REALM", realm)
	harness.Tree(t, k.dir, map[string]string{
		// Like those that distributions ship: in parts, and with much that is not for us.
		"krb5.conf": fill.Replace("# a comment\nincludedir DIR/krb5.conf.d/\n[logging]\n default = STDERR\n[libdefaults]\n dns_lookup_realm = false\n dns_lookup_kdc = no\n" +
			" rdns = false\n udp_preference_limit = 1\n default_realm = WRONG.TEST\n"),
		"krb5.conf.d/site": fill.Replace("[libdefaults]\n\tdefault_realm = REALM\n[realms]\n REALM = {\n  auth_to_local = RULE:[1:$1@$0](.*)s/@.*//\n  v = {\n   kdc = wrong\n  }\n  kdc = ADDR\n }\n" +
			"[domain_realm]\n localhost = REALM\n"),
		"krb5.conf.d/saved.rpmsave~": "[libdefaults]\n default_realm = SAVED.TEST\n",
		"kdc.conf": fill.Replace("[kdcdefaults]\n kdc_listen = ADDR\n kdc_tcp_listen = ADDR\n[realms]\n REALM = {\n  database_name = DIR/principal\n  key_stash_file = DIR/stash\n" +
			"  max_life = 1h\n  max_renewable_life = 2h\n }\n[logging]\n kdc = FILE:DIR/kdc.log\n admin_server = FILE:DIR/admin.log\n"),
	})
	k.env = []string{"KRB5_CONFIG=" + k.dir + "/krb5.conf", "KRB5_KDC_PROFILE=" + k.dir + "/kdc.conf"}
	k.run(t, harness.User{}, "kdb5_util", "create", "-s", "-r", realm, "-P", "master-passw0rd")
	for _, command := range []string{
		"addprinc -pw " + kdcPassword + " +allow_renewable finn",
		"addprinc -randkey -maxlife 0:00:04 batch",
		"addprinc -randkey -maxlife 0:00:02 HTTP/localhost",
		"ktadd -k " + k.dir + "/batch.keytab batch",
		"ktadd -k " + k.dir + "/http.keytab HTTP/localhost",
	} {
		k.run(t, harness.User{}, "kadmin.local", "-r", realm, "-q", command)
	}
	k.start(t)
	return k
}

// start starts the KDC, and waits until it answers.
func (k *kdc) start(t *testing.T) {
	t.Helper()
	k.p = harness.Cmd{Env: k.env, Timeout: 5 * harness.Timeout, Name: "krb5kdc", Args: []string{"-n", "-r", realm, "-P", k.dir + "/pid"}}.Start(t)
	t.Cleanup(func() { k.stop(t) })
	harness.Eventually(t, harness.Timeout, func() bool {
		conn, err := net.Dial("tcp", k.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil || !k.p.Running()
	}, "the KDC does not answer: %s", k.p.Output())
	require.True(t, k.p.Running(), "the KDC has ended")
}

func (k *kdc) stop(t *testing.T) {
	if k.p.Running() {
		k.p.Signal(t, syscall.SIGTERM)
	}
	k.p.Wait()
}

func (k *kdc) run(t *testing.T, u harness.User, name string, args ...string) {
	t.Helper()
	harness.Cmd{User: u, Env: k.env, Name: name, Args: args}.Run(t).OK(t)
}

// kinit gets a ticket for finn into a file.
func (k *kdc) kinit(t *testing.T, u harness.User, cache string, flags ...string) {
	t.Helper()
	harness.Cmd{User: u, Env: k.env, Stdin: strings.NewReader(kdcPassword + "\n"), Name: "kinit", Args: append(append([]string{"-c", cache}, flags...), "finn")}.Run(t).OK(t)
}

// issued counts the tickets that the KDC has given to a user for a service.
func (k *kdc) issued(t *testing.T, request, who, service string) int {
	t.Helper()
	text, err := os.ReadFile(k.dir + "/kdc.log")
	require.NoError(t, err)
	return len(regexp.MustCompile(request+` .*ISSUE: .*, `+who+`@`+realm+` for `+service+`@`+realm).FindAllIndex(text, -1))
}

// apache is a real web server that lets in whom the KDC knows, in front of another one.
type apache struct {
	addr, dir string
}

// count counts the requests by the status of the answer and the user.
func (a *apache) count(t *testing.T, pattern string) int {
	t.Helper()
	text, err := os.ReadFile(a.dir + "/access.log")
	require.NoError(t, err)
	return len(regexp.MustCompile("(?m)^"+pattern+"$").FindAllIndex(text, -1))
}

func startApache(t *testing.T, k *kdc, upstream string) *apache {
	t.Helper()
	a := &apache{addr: ports.Free(t), dir: harness.Dir(t, harness.User{})}
	account := ""
	require.NoError(t, os.Mkdir(a.dir+"/work", 0o700))
	keys := must(os.ReadFile(k.dir + "/http.keytab"))(t)
	require.NoError(t, os.WriteFile(a.dir+"/work/keytab", keys, 0o600))
	if (harness.User{}).Root() {
		account = "User www-data\nGroup www-data\n"
		u, err := user.Lookup("www-data")
		require.NoError(t, err)
		uid, gid := must(strconv.Atoi(u.Uid))(t), must(strconv.Atoi(u.Gid))(t)
		require.NoError(t, os.Chown(a.dir+"/work", uid, gid))
		require.NoError(t, os.Chown(a.dir+"/work/keytab", uid, gid))
	}
	var modules strings.Builder
	for _, m := range []string{"mpm_event", "authn_core", "authz_core", "authz_user", "auth_gssapi", "headers", "proxy", "proxy_http"} {
		fmt.Fprintf(&modules, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	config := strings.NewReplacer("DIR", a.dir, "ADDR", a.addr, "UPSTREAM", upstream,
		"BASIC", base64.StdEncoding.EncodeToString([]byte(harness.AdminName+":"+harness.AdminPassword))).Replace(modules.String() + account + `
ServerName localhost
Listen ADDR
PidFile DIR/pid
ErrorLog DIR/error.log
LogFormat "%>s %u" short
CustomLog DIR/access.log short
DefaultRuntimeDir DIR
Mutex file:DIR/work
<Location />
	AuthType GSSAPI
	AuthName Alfresco
	GssapiCredStore keytab:DIR/work/keytab
	GssapiAllowedMech krb5
	Require valid-user
	RequestHeader set Authorization "Basic BASIC"
</Location>
ProxyPass / UPSTREAM/
`)
	harness.Tree(t, a.dir, map[string]string{"apache.conf": config})
	p := harness.Cmd{
		// A server notes what it has seen, and takes nothing twice.
		Env:  append(k.env, "KRB5RCACHENAME=file2:"+a.dir+"/work/replays"),
		Name: "apache2", Args: []string{"-D", "FOREGROUND", "-d", a.dir, "-f", a.dir + "/apache.conf"}, Timeout: 5 * harness.Timeout,
	}.Start(t)
	t.Cleanup(func() {
		if p.Running() {
			p.Signal(t, syscall.SIGTERM)
		}
		p.Wait()
		if t.Failed() {
			t.Logf("Apache: %s %s", p.Output(), must(os.ReadFile(a.dir+"/error.log"))(t))
		}
	})
	harness.Eventually(t, harness.Timeout, func() bool {
		conn, err := net.Dial("tcp", a.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil || !p.Running()
	}, "Apache does not answer: %s", p.Output())
	require.True(t, p.Running(), "Apache has ended: %s", p.Output())
	return a
}

// startKerberos starts a server that only Kerberos leads to, slow enough for tickets to
// end while an archive is read. url has the name that the KDC knows.
func startKerberos(t *testing.T) (k *kdc, s *harness.Server, a *apache, url string) {
	t.Helper()
	k, s = startKDC(t), harness.StartServer(t, harness.Samples(t))
	a = startApache(t, k, s.URL)
	g := startGate(t, "http://"+a.addr, gateOptions{})
	return k, s, a, strings.Replace(g.url, "127.0.0.1", "localhost", 1)
}

// A person mounts with the ticket that kinit has got. Tickets for the server end every
// two seconds, in the middle of a read too, and the ticket that gets them is renewed.
// Proves S-206.
func TestKerberosMount(t *testing.T) {
	t.Parallel()
	k, s, a, url := startKerberos(t)
	u := harness.Ordinary(t)
	dir := harness.Dir(t, u)
	cache := dir + "/tickets"
	// It has to last until the mount is there, and to end before the test does.
	const life = 12 * time.Second
	k.kinit(t, u, cache, "-l", life.String(), "-r", "1h")
	began := time.Now()
	m := harness.StartMount(t, s, harness.MountOptions{
		User: u, NoLogin: true, URL: url, Env: append(k.env, "KRB5CCNAME=FILE:"+cache),
		Flags: []string{"--config", "/dev/null", "--kerberos", "--prefetch", "off"}, Allow: breaks,
	})
	doctor := harness.Cmd{User: u, Env: append(k.env, "KRB5CCNAME="+cache), Name: harness.Binary(), Args: []string{"doctor", "--config", "/dev/null", "--state-dir", dir, "--cache-dir", dir, "--kerberos", url}}.Run(t).OK(t)
	assert.Regexp(t, `(?m)^ok +Kerberos +the ticket of finn@EXAMPLE.TEST in `+cache+` ends on .*, and can be renewed until .*; for HTTP/localhost$`, doctor.Stdout)
	assert.Regexp(t, `(?m)^ok +login +the login of "finn@EXAMPLE.TEST", from --kerberos$`, doctor.Stdout)

	before, strangers := k.issued(t, "TGS_REQ", "finn", "HTTP/localhost"), a.count(t, "401 .*") // doctor first looks without a login
	readSlowly(t, s, m)
	tickets := k.issued(t, "TGS_REQ", "finn", "HTTP/localhost") - before
	assert.NotZero(t, tickets, "no ticket ended in the middle of the read")
	assert.LessOrEqual(t, tickets, 3+int(time.Since(began)/time.Second), "each request got a ticket of its own")
	// Until the first ticket has ended: it was renewed by then.
	for time.Since(began) < life {
		readSlowly(t, s, m)
	}
	assert.NotZero(t, k.issued(t, "TGS_REQ", "finn", "krbtgt/"+realm), "the ticket was not renewed")
	assert.NotZero(t, a.count(t, "20[01] finn@"+realm))
	assert.Equal(t, strangers, a.count(t, "401 .*"), "Apache refused a request")
	assertNoSecret(t, "the log", m.Log.Text())
	m.Unmount(t)

	// Without a ticket it says what to do.
	fails := func(o harness.MountOptions, code int, says string) {
		t.Helper()
		o.User, o.NoLogin = u, true
		if o.URL == "" {
			o.URL = url
		}
		o.Env = append(o.Env, k.env...)
		o.Flags = append([]string{"--config", "/dev/null", "--kerberos", "--retry-timeout", shortBudget}, o.Flags...)
		_, failure := harness.TryMount(t, s, o)
		require.NotNil(t, failure, says)
		assert.Equal(t, code, failure.Code, failure.Line)
		assert.Contains(t, failure.Line, says)
	}
	ticket := []string{"KRB5CCNAME=" + cache}
	fails(harness.MountOptions{Env: ticket}, 3, "has ended on ")
	fails(harness.MountOptions{Env: []string{"KRB5CCNAME=" + dir + "/none"}}, 3, "run kinit")
	fails(harness.MountOptions{Env: []string{"KRB5CCNAME=KCM:"}}, 3, "export KRB5CCNAME=FILE:$HOME/.krb5cc && kinit")
	k.kinit(t, u, cache)
	harness.ShAs(t, u, "head -c 200 "+cache+" >"+dir+"/half").OK(t)
	fails(harness.MountOptions{Env: []string{"KRB5CCNAME=" + dir + "/half"}}, 3, dir+"/half ")
	fails(harness.MountOptions{Env: ticket, Flags: []string{"--username", "anna"}}, 3, "run kinit anna")
	fails(harness.MountOptions{Env: ticket, URL: "http://" + a.addr}, 3, "knows no service HTTP/127.0.0.1")
	fails(harness.MountOptions{Env: ticket, URL: "http://ecm.example.org", Flags: []string{"--allow-http"}}, 2, "https:// only")
	fails(harness.MountOptions{Env: ticket, Flags: []string{"--password-file", "/dev/null"}}, 2, "exclude each other")
	k.stop(t)
	fails(harness.MountOptions{Env: ticket}, 4, "the KDC of EXAMPLE.TEST")
}

// A batch job mounts with a keytab that its profile names.
// Proves S-206.
func TestKerberosKeytabMount(t *testing.T) {
	t.Parallel()
	k, s, a, url := startKerberos(t)
	keytab := filepath.Join(k.dir, "batch.keytab")
	config := configFile(t, harness.User{}, "defaults:\n  password-file: /nonexistent\nprofiles:\n  work:\n    url: "+url+"\n    kerberos: true\n    keytab: "+keytab+"\n")
	o := harness.MountOptions{NoLogin: true, URL: "work", Env: k.env, Flags: []string{"--config", config, "--prefetch", "off"}, Allow: breaks}
	m := harness.StartMount(t, s, o)
	for reads := 0; k.issued(t, "AS_REQ", "batch", "krbtgt/"+realm) < 2; reads++ {
		require.Less(t, reads, 20, "the first ticket was never got again")
		readSlowly(t, s, m)
	}
	assert.NotZero(t, a.count(t, "20[01] batch@"+realm))
	assert.Zero(t, a.count(t, "401 .*"), "Apache refused a request")
	assertNoSecret(t, "the log", m.Log.Text())
	m.Unmount(t)

	require.NoError(t, os.Chmod(keytab, 0o644))
	_, failure := harness.TryMount(t, s, o)
	require.NotNil(t, failure)
	assert.Equal(t, 3, failure.Code)
	assert.Contains(t, failure.Line, "chmod 600 "+keytab)
	// The administrator has made another key.
	require.NoError(t, os.Chmod(keytab, 0o600))
	k.run(t, harness.User{}, "kadmin.local", "-r", realm, "-q", "cpw -randkey batch")
	o.URL, o.Flags = url, []string{"--config", "/dev/null", "--retry-timeout", shortBudget}
	o.Env = append(o.Env, "DOWNLOADFS_KEYTAB="+keytab, "DOWNLOADFS_USERNAME=batch@"+realm)
	_, failure = harness.TryMount(t, s, o)
	require.NotNil(t, failure)
	assert.Equal(t, 3, failure.Code)
	assert.Contains(t, failure.Line, "does not have the current key of batch@"+realm)
}
