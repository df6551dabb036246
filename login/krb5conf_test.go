package login

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// What distributions ship and administrators write is read: included files, blocks
// within blocks, several sections of a name.
// Proves S-206.
func TestKrb5Conf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
		return path
	}
	main := write("krb5.conf", `# of a distribution
includedir DIR/krb5.conf.d/
include DIR/none
[logging]
    default = FILE:/var/log/krb5libs.log
[libdefaults]
    default_realm = OTHER.TEST
    ticket_lifetime = 24h
    renew_lifetime = 7d
    default_ccache_name = KEYRING:persistent:%{uid}
    pkinit_anchors = FILE:/etc/pki/tls/certs/ca-bundle.crt
    clockskew = 2:30
    v4_instance_convert = {
        default_realm = WRONG.TEST
    }
[realms]
 OTHER.TEST = {
  kdc = kdc.other.test
  kdc = https://proxy.other.test/KdcProxy
  admin_server = kdc.other.test
 }
[domain_realm]
 .example.test = OTHER.TEST
 .other.test = OTHER.TEST
`)
	write("krb5.conf.d/site.conf", `[libdefaults]
default_realm=EXAMPLE.TEST
dns_canonicalize_hostname = false
[realms]
EXAMPLE.TEST = {
 auth_to_local_names = {
  kdc = wrong.example.test
 }
 kdc = tcp/a.example.test:750
 kdc = [::1]
 kdc = b.example.test
}
[domain_realm]
.example.test = EXAMPLE.TEST
`)
	write("krb5.conf.d/not this one", "[libdefaults]\ndefault_realm = WRONG.TEST\n")
	c, err := readKrb5Conf(filepath.Join(dir, "none") + ":" + main)
	require.NoError(t, err)
	assert.Equal(t, "EXAMPLE.TEST", c.LibDefaults.DefaultRealm, "the first counts")
	assert.Equal(t, "KEYRING:persistent:%{uid}", c.cache)
	assert.Equal(t, 7*24*time.Hour, c.LibDefaults.RenewLifetime)
	assert.Equal(t, 2*time.Hour+30*time.Minute, c.LibDefaults.Clockskew)
	assert.False(t, c.LibDefaults.DNSCanonicalizeHostname)
	assert.True(t, c.LibDefaults.DNSLookupKDC)
	assert.NotEmpty(t, c.LibDefaults.DefaultTGSEnctypeIDs)
	assert.Equal(t, "EXAMPLE.TEST", c.ResolveRealm("ecm.example.test"))
	assert.Empty(t, c.ResolveRealm("localhost"))
	kdcs := map[string][]string{}
	for _, r := range c.Realms {
		kdcs[r.Realm] = r.KDC
	}
	assert.Equal(t, map[string][]string{
		"EXAMPLE.TEST": {"a.example.test:750", "[::1]:88", "b.example.test:88"}, "OTHER.TEST": {"kdc.other.test:88"},
	}, kdcs)

	// A file that includes itself ends.
	_, err = readKrb5Conf(write("loop", "include DIR/loop\n"))
	require.ErrorIs(t, err, download.ErrUnauthorized)
	_, err = readKrb5Conf(filepath.Join(dir, "none"))
	require.NoError(t, err, "the DNS may know it all")
}

func TestKrb5Duration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"300": 5 * time.Minute, "1:30": 90 * time.Minute, "0:00:04": 4 * time.Second, "7d": 168 * time.Hour, "1d 2h 3m 4s": 26*time.Hour + 3*time.Minute + 4*time.Second,
		"10h": 10 * time.Hour, "": 0, "soon": 0, "xd": 0,
	} {
		assert.Equal(t, want, krb5Duration(text), text)
	}
}

// Proves S-206.
func TestTicketCacheFile(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{
		"": "/tmp/krb5cc_1000", "/run/tickets": "/run/tickets", "FILE:/run/%{uid}/tickets": "/run/1000/tickets",
		"DIR:" + dir: dir + "/tkt", "DIR::" + dir + "/tkt7": dir + "/tkt7",
	} {
		path, err := cacheFile(name, 1000)
		require.NoError(t, err)
		assert.Equal(t, want, path)
	}
	require.NoError(t, os.WriteFile(dir+"/primary", []byte("tkt3\n"), 0o600))
	path, err := cacheFile("DIR:"+dir, 1000)
	require.NoError(t, err)
	assert.Equal(t, dir+"/tkt3", path)
	for _, name := range []string{"KCM:", "KEYRING:persistent:1000", "API:x"} {
		_, err := cacheFile(name, 1000)
		require.ErrorIs(t, err, download.ErrUnauthorized)
		assert.ErrorContains(t, err, "run: export KRB5CCNAME=FILE:$HOME/.krb5cc && kinit, then the same command again")
	}
	// Whatever is in the file, it is no crash.
	for _, text := range []string{"", "\x05", "\x05\x04", "\x05\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09", strings.Repeat("\xff", 100), "\x05\x04\x00\x0c\x00\x01\x00\x08aaaaaaaa" + strings.Repeat("\x7f", 50)} {
		file := filepath.Join(dir, "cache")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := readCache(file, anybody)
		require.ErrorIs(t, err, download.ErrUnauthorized, "%q", text)
		_, err = readKeytab(file)
		require.ErrorIs(t, err, download.ErrUnauthorized, "%q", text)
	}
}

// A ticket cache with a name that anybody can guess must be one's own, and is no pipe on
// which somebody lets others wait.
// Proves S-206.
func TestTicketCacheOwner(t *testing.T) {
	file, me := filepath.Join(t.TempDir(), "cache"), os.Getuid()
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o644))
	if me == 0 {
		me = 1000
		_, err := readCache(file, me)
		require.ErrorContains(t, err, "is not a file with Kerberos tickets", "root's are trusted")
		require.NoError(t, os.Chown(file, me, me))
	}
	_, err := readCache(file, me)
	require.ErrorContains(t, err, "is not a file with Kerberos tickets")
	_, err = readCache(file, me+1)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.ErrorContains(t, err, "belong to another user")
	_, err = readCache(file, anybody)
	require.ErrorContains(t, err, "is not a file with Kerberos tickets")

	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o666))
	_, err = readCache(pipe, anybody)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	_, err = Kerberos{Conf: filepath.Join(t.TempDir(), "none"), Cache: "FILE:" + file, UID: me + 1}.Open()
	require.ErrorContains(t, err, "is not a file with Kerberos tickets", "a name that was given is trusted")
	conf := filepath.Join(t.TempDir(), "krb5.conf")
	require.NoError(t, os.WriteFile(conf, []byte("[libdefaults]\ndefault_ccache_name = FILE:"+file+"\n"), 0o644))
	_, err = Kerberos{Conf: conf, UID: me + 1}.Open()
	require.ErrorContains(t, err, "belong to another user")
}

// FuzzKrb5Conf: whatever is in krb5.conf, it is no crash.
func FuzzKrb5Conf(f *testing.F) {
	f.Add("[libdefaults]\ndefault_realm = A\n[realms]\nA = {\n kdc = a\n}\n[domain_realm]\n.a = A\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := krb5Reader{conf: krb5Conf{Config: config.New()}, seen: map[string]bool{}, files: maxIncludes}
		_ = r.read(strings.NewReader(text))
	})
}
