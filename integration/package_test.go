package integration

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// envPackages is the directory with the packages that make packages has built. The
// tests of packages take minutes, and a mirror of Debian: make test-packages runs them.
const envPackages = "DOWNLOADFS_PACKAGES"

func debPackage(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(envPackages)
	if dir == "" {
		t.Skip("no packages are built; run: make test-packages")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*_amd64.deb"))
	require.NoError(t, err)
	require.Len(t, found, 1, "packages in %s", dir)
	return found[0]
}

// Proves S-175.
func TestPackageLint(t *testing.T) {
	deb := debPackage(t)
	r := harness.Run(t, 10*harness.Timeout, "lintian", "--allow-root", "--fail-on", "error,warning", deb)
	assert.Zero(t, r.Code, "%s", r)
	t.Log(r.Stdout)
}

// In a Debian with nothing but its base, apt and the package take a person from nothing
// to a mounted archive, by hand and by fstab; it is upgraded over a running mount, and
// leaves nothing of its own behind.
// Proves S-175.
func TestPackageInCleanRoot(t *testing.T) {
	deb := debPackage(t)
	root := cleanRoot(t)
	bindDevices(t, root)
	s := harness.StartServer(t, harness.Samples(t))
	require.NoError(t, os.WriteFile(filepath.Join(root, "srv/downloadfs.deb"), must(os.ReadFile(deb))(t), 0o644))
	in := func(script string) harness.Result {
		return harness.Cmd{
			Name: "chroot", Args: []string{root, "sh", "-c", script}, Timeout: 5 * harness.Timeout,
			Env: []string{"HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "SERVER=" + s.URL, "PASSWORD=" + harness.AdminPassword},
		}.Run(t)
	}
	t.Cleanup(func() { in("downloadfs unmount --lazy /mnt; umount -l /srv/work; true") })

	installByApt(t, in)
	in("fusermount3 --version && test -e /etc/ssl/certs/ca-certificates.crt").OK(t) // what it recommends
	in("downloadfs config check && ls /usr/share/man/man8/mount.downloadfs.8.gz /usr/share/bash-completion/completions/downloadfs && downloadfs version && downloadfs doctor").OK(t)

	// By hand.
	in("echo $PASSWORD | downloadfs login --password --username admin $SERVER").OK(t)
	in("downloadfs mount --daemon $SERVER /mnt").OK(t)
	in("cd /mnt/downloads && echo /" + photos + " >new && unzip -tq */archive.zip").OK(t)

	// Upgraded while it is mounted and somebody reads: the mount goes on, as what it was.
	in("zip=$(ls /mnt/downloads/*/archive.zip); exec 3<$zip; head -c 1000 <&3 >/tmp/half && dpkg -i /srv/downloadfs.deb && cat <&3 >>/tmp/half && cmp /tmp/half $zip").OK(t)
	in("downloadfs unmount /mnt").OK(t)

	// By fstab and a profile, as root without a home.
	in(`mkdir -p /srv/work && printf 'profiles:\n  work:\n    url: %s\n    username: admin\n    password: %s\n' $SERVER $PASSWORD >/etc/downloadfs/config.yaml && chmod 600 /etc/downloadfs/config.yaml &&
		echo 'work /srv/work downloadfs noauto,_netdev,nofail,x-systemd.automount,allow_other 0 0' >>/etc/fstab && downloadfs config check && env -u HOME mount /srv/work`).OK(t)
	assert.Equal(t, "README\ndownloads", in("ls /srv/work").Out(t))
	assert.Equal(t, "700", in("stat -c %a /var/lib/downloadfs/127*").Out(t))
	in("dpkg -i /srv/downloadfs.deb && grep -q 'password: ' /etc/downloadfs/config.yaml && ls /srv/work").OK(t)
	in("umount /srv/work").OK(t)

	in("dpkg -r downloadfs").OK(t)
	assert.Equal(t, "/etc/downloadfs/config.yaml", in("find / -xdev -path /proc -prune -o -path /var/lib/dpkg -prune -o -name '*downloadfs*' -type f -print -o -path '/etc/downloadfs/*' -print | grep -v -e ^/srv -e ^/tmp -e ^/var/lib/downloadfs -e ^/var/cache/downloadfs -e ^/root").Out(t),
		"what is left is what somebody wrote")
	in("dpkg -P downloadfs && test ! -e /etc/downloadfs && test ! -e /var/lib/downloadfs && test ! -e /var/cache/downloadfs").OK(t)
}

// A person who has the package logs in, mounts and switches the unit on. After a reboot
// the mount is there, before anybody has logged in.
// Proves S-175.
func TestPackageAfterReboot(t *testing.T) {
	deb := debPackage(t)
	root := cleanRoot(t)
	s := harness.StartServer(t, harness.Samples(t))
	ca := faults.NewAuthority(t)
	g := startGate(t, s.URL, gateOptions{tls: &tls.Config{Certificates: []tls.Certificate{ca.Issue(time.Now().Add(24*time.Hour), "127.0.0.1")}}})
	require.NoError(t, os.WriteFile(filepath.Join(root, "srv/downloadfs.deb"), must(os.ReadFile(deb))(t), 0o644))

	m := bootRoot(t, root)
	installByApt(t, m.in)
	// The site's certificate authority, as its administrator installs it.
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/local/share/ca-certificates/site.crt"), must(os.ReadFile(ca.File()))(t), 0o644))
	m.in("update-ca-certificates && useradd --create-home --shell /bin/sh finn").OK(t)
	finn := func(script string) harness.Result {
		return m.in("cat >/tmp/script <<'END'\n" + script + "\nEND\nchmod 644 /tmp/script; exec su - finn -c 'sh -e /tmp/script'")
	}
	finn("downloadfs doctor").OK(t)
	finn("echo " + harness.AdminPassword + " | downloadfs login --username " + harness.AdminName + " " + g.url).OK(t)
	finn("mkdir -p ~/.config/downloadfs && cat >~/.config/downloadfs/config.yaml <<'E'\nprofiles:\n  work:\n    url: " + g.url + "\n    mountpoint: ~/alfresco\nE\ndownloadfs config check").OK(t)
	finn("downloadfs mount work --daemon && cd ~/alfresco/downloads && echo /" + photos + " >new && unzip -tq */archive.zip").OK(t)
	finn("downloadfs unmount ~/alfresco").OK(t)
	m.in("loginctl enable-linger finn").OK(t)
	m.await(t, "the person's systemd", "test -S /run/user/1000/systemd/private")
	finn("export XDG_RUNTIME_DIR=/run/user/$(id -u); systemctl --user enable --now downloadfs@work; systemctl --user is-active downloadfs@work; ls ~/alfresco/downloads/*/archive.zip").OK(t)
	m.shutDown(t)

	m = bootRoot(t, root)
	m.await(t, "the mount after the reboot", "su finn -c 'ls /home/finn/alfresco/downloads/*/archive.zip'")
	finn("cd ~/alfresco/downloads && unzip -tq */archive.zip").OK(t)
	log := m.in("journalctl --no-pager _SYSTEMD_USER_UNIT=downloadfs@work.service").Out(t)
	assert.Contains(t, log, "mounted")
	assertNoSecret(t, "the journal", log)
	// The package is upgraded while the unit's mount is in use.
	m.in("dpkg -i /srv/downloadfs.deb").OK(t)
	finn("ls ~/alfresco/downloads/*/archive.zip").OK(t)
	m.shutDown(t)
}

// installByApt installs the package at /srv/downloadfs.deb with what it needs and
// recommends.
func installByApt(t *testing.T, in func(string) harness.Result) {
	t.Helper()
	in("apt-get update -qq && apt-get install -y -qq /srv/downloadfs.deb").OK(t)
	assert.Equal(t, "install ok installed", in("dpkg-query -W -f '${Status}' downloadfs").Out(t))
}

// cleanRoot makes a root directory of a Debian's base system and systemd, which is kept
// in bin for the next run.
func cleanRoot(t *testing.T) string {
	t.Helper()
	if !(harness.User{}).Root() {
		t.Skip("a root of its own needs root")
	}
	cached := repositoryFile(t, "bin/bookworm-systemd.tar") // nobody else can put one there
	dir := harness.Dir(t, harness.User{})
	if info, err := os.Stat(cached); err != nil || time.Since(info.ModTime()) > 7*24*time.Hour {
		made := filepath.Join(dir, "made")
		require.NoError(t, os.MkdirAll(filepath.Dir(cached), 0o755))
		harness.Run(t, 10*harness.Timeout, "debootstrap", "--variant=minbase", "--include=unzip,systemd-sysv,dbus,dbus-user-session,libpam-systemd", "bookworm", made).OK(t)
		harness.Run(t, 5*harness.Timeout, "tar", "-C", made, "--exclude=./var/cache/apt/archives/*.deb", "-cf", cached+".new", ".").OK(t)
		require.NoError(t, os.Rename(cached+".new", cached))
		harness.Run(t, harness.Timeout, "rm", "-rf", made).OK(t)
	}
	root := filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	harness.Run(t, 5*harness.Timeout, "tar", "-C", root, "-xf", cached).OK(t)
	return root
}

// bindDevices gives a root directory this machine's processes and devices.
func bindDevices(t *testing.T, root string) {
	t.Helper()
	for _, m := range []string{"proc", "dev"} {
		harness.Run(t, harness.Timeout, "mount", "--rbind", "/"+m, filepath.Join(root, m)).OK(t)
		harness.Run(t, harness.Timeout, "mount", "--make-rslave", filepath.Join(root, m)).OK(t)
		t.Cleanup(func() { _ = syscall.Unmount(filepath.Join(root, m), 2) })
	}
}

// must fails the test at an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { t.Helper(); require.NoError(t, err); return v }
}

// What the packages are made of is there, and the example of a configuration is right.
// Proves S-175.
func TestPackageParts(t *testing.T) {
	t.Parallel()
	// make install puts everything where it is looked for; by sudo what is built already.
	bin, dest := filepath.Join(harness.Dir(t, harness.User{}), "copy"), harness.Dir(t, harness.User{})
	harness.Sh(t, "mkdir -p "+bin+"/bin/docs/man && cd "+repositoryFile(t, ".")+" && cp -r Makefile dist "+bin+" && cd "+bin+"/bin && echo '#!/bin/sh' >downloadfs && touch docs/downloadfs docs/_downloadfs docs/downloadfs.fish docs/man/downloadfs.1").OK(t)
	harness.Cmd{Env: []string{"SUDO_USER=finn"}, Dir: bin, Name: "make", Args: []string{"install", "GO=false", "PREFIX=/opt/x", "DESTDIR=" + dest}}.Run(t).OK(t)
	installed := harness.Sh(t, "cd "+dest+" && find . ! -type d && grep -h ^ExecStart= opt/x/share/systemd/user/* opt/x/lib/systemd/system/* && readlink sbin/mount.downloadfs").Out(t)
	for _, want := range []string{
		"./opt/x/bin/downloadfs", "./opt/x/share/man/man1/downloadfs.1", "./opt/x/share/man/man8/mount.downloadfs.8", "./opt/x/share/bash-completion/completions/downloadfs",
		"./opt/x/share/zsh/site-functions/_downloadfs", "./opt/x/share/fish/vendor_completions.d/downloadfs.fish", "./sbin/mount.fuse.downloadfs",
		"ExecStart=/opt/x/bin/downloadfs mount %i", "ExecStart=/opt/x/bin/downloadfs mount --config ", "/opt/x/bin/downloadfs",
	} {
		assert.Contains(t, installed, want)
	}
	nfpm := string(must(os.ReadFile("../dist/package/nfpm.yaml"))(t))
	for _, path := range []string{
		"dist/systemd/user/downloadfs@.service", "dist/systemd/system/downloadfs@.service", "dist/config.yaml", "dist/package/copyright",
		"dist/package/postinstall.sh", "dist/package/postremove.sh", "dist/package/lintian-overrides",
	} {
		assert.Contains(t, nfpm, path)
		_, err := os.Stat(repositoryFile(t, path))
		assert.NoError(t, err)
	}
	// The example is right when its comments are taken away.
	example := strings.ReplaceAll(string(must(os.ReadFile("../dist/config.yaml"))(t)), "\n#", "\n")
	_, example, _ = strings.Cut(example, "\n\n")
	file := configFile(t, harness.User{}, example)
	r := harness.Run(t, harness.Timeout, harness.Binary(), "config", "check", "--config", file).OK(t)
	assert.Contains(t, r.Stdout, "profiles: work")
	harness.Sh(t, "sh -n "+repositoryFile(t, "dist/package/postinstall.sh")+" && sh -n "+repositoryFile(t, "dist/package/postremove.sh")+" && bash -n "+repositoryFile(t, "scripts/package")).OK(t)
}

// A purge removes the state and the cache of the system's mounts, but not while a mount
// uses them. Removing the package alone keeps them.
// Proves S-175.
func TestPackagePurge(t *testing.T) {
	t.Parallel()
	script := string(must(os.ReadFile("../dist/package/postremove.sh"))(t))
	s := harness.StartServer(t, harness.Samples(t))
	dir := harness.Dir(t, harness.User{})
	state, cache := filepath.Join(dir, "lib/downloadfs"), filepath.Join(dir, "cache/downloadfs")
	postrm := filepath.Join(dir, "postrm")
	require.NoError(t, os.WriteFile(postrm, []byte(strings.ReplaceAll(script, "/var/", dir+"/")), 0o755))
	m := harness.StartMount(t, s, harness.MountOptions{StateDir: state, CacheDir: cache})
	for _, action := range []string{"remove", "upgrade", "purge"} {
		r := harness.Run(t, harness.Timeout, "sh", postrm, action).OK(t)
		assert.Equal(t, action == "purge", strings.Contains(r.Stderr, "a mount still uses "+dir), "%s: %s", action, r)
		m.Sh(t, "ls "+state+"/*/journal.db "+cache+"/*/lock").OK(t)
	}
	m.Unmount(t)
	harness.Run(t, harness.Timeout, "sh", postrm, "remove").OK(t)
	harness.Sh(t, "ls "+state+"/*/journal.db "+cache+"/*/lock").OK(t)
	r := harness.Run(t, harness.Timeout, "sh", postrm, "purge").OK(t)
	assert.Empty(t, r.Stderr)
	harness.Sh(t, "test ! -e "+state+" && test ! -e "+cache).OK(t)
}

// The pages of a package link only to what is in it.
// Proves S-175.
func TestPackageLinks(t *testing.T) {
	t.Parallel()
	const shared = "/usr/share/doc/downloadfs/"
	var nfpm struct {
		Contents []struct{ Src, Dst, Type, Packager string }
	}
	text := strings.ReplaceAll(string(must(os.ReadFile("../dist/package/nfpm.yaml"))(t)), "@", "")
	require.NoError(t, yaml.Unmarshal([]byte(text), &nfpm))
	packed := make(map[string]string) // where in the package's directory, and the file of the source
	for _, c := range nfpm.Contents {
		to, ok := strings.CutPrefix(c.Dst, shared)
		switch {
		case !ok || c.Type == "dir" || c.Packager != "":
		case strings.HasSuffix(to, "/"):
			for _, file := range must(filepath.Glob("../" + c.Src + "*"))(t) {
				packed[to+filepath.Base(file)] = file
			}
		default:
			packed[to] = "../" + c.Src
		}
	}
	require.Contains(t, packed, "README.md")
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`) // not to a web page
	for name, file := range packed {
		if filepath.Ext(name) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(must(os.ReadFile(file))(t)), -1) {
			assert.Contains(t, packed, filepath.Join(filepath.Dir(name), m[1]), "%s links to it", name)
		}
	}
}
