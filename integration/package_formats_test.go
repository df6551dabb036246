package integration

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// builtPackages returns the directory of what make packages has built, and the version.
func builtPackages(t *testing.T) (dir, version string) {
	t.Helper()
	dir = os.Getenv(envPackages)
	if dir == "" {
		t.Skip("no packages are built; run: make test-packages")
	}
	found, err := filepath.Glob(filepath.Join(dir, "downloadfs-*-linux-amd64.tar.gz"))
	require.NoError(t, err)
	require.Len(t, found, 1, "programs in %s", dir)
	name := filepath.Base(found[0])
	return dir, strings.TrimSuffix(strings.TrimPrefix(name, "downloadfs-"), "-linux-amd64.tar.gz")
}

// The checksums are right, and there is a program for each system, which needs nothing
// but that system.
// Proves S-219.
func TestPackagePrograms(t *testing.T) {
	dir, version := builtPackages(t)
	harness.Sh(t, "cd "+dir+" && sha256sum --quiet -c SHA256SUMS").OK(t)
	for system, says := range map[string]string{
		"linux-amd64": "ELF 64-bit LSB executable, x86-64.* statically linked", "linux-arm64": "ELF 64-bit LSB executable, ARM aarch64.* statically linked",
		"darwin-amd64": "Mach-O 64-bit x86_64 executable", "darwin-arm64": "Mach-O 64-bit arm64 executable",
		"linux-amd64-stores": "ELF 64-bit LSB executable, x86-64.* statically linked", "linux-arm64-stores": "ELF 64-bit LSB executable, ARM aarch64.* statically linked",
	} {
		name := filepath.Join(dir, "downloadfs-"+version+"-"+system)
		to := harness.Dir(t, harness.User{})
		assert.Regexp(t, `^-rwxr-xr-x 0/0 .* downloadfs$`, harness.Run(t, harness.Timeout, "tar", "-tvzf", name+".tar.gz").Out(t))
		harness.Run(t, harness.Timeout, "tar", "-C", to, "-xzf", name+".tar.gz").OK(t)
		program := filepath.Join(to, "downloadfs")
		assert.Regexp(t, says, harness.Run(t, harness.Timeout, "file", program).Out(t))
		info, err := buildinfo.ReadFile(program)
		require.NoError(t, err)
		var want []string
		for _, m := range info.Deps {
			want = append(want, m.Path+"@"+m.Version)
		}
		// What is in it: exactly the modules that the compiler noted.
		var bill struct {
			BOMFormat, SpecVersion string
			Metadata               struct {
				Component struct {
					Name, Version string
					Hashes        []struct{ Alg, Content string }
				}
			}
			Components []struct {
				Name, Version, PURL string
				Hashes              []struct{ Alg, Content string }
			}
		}
		require.NoError(t, json.Unmarshal(must(os.ReadFile(name+".cdx.json"))(t), &bill))
		assert.Equal(t, "CycloneDX 1.6", bill.BOMFormat+" "+bill.SpecVersion)
		assert.Equal(t, version, bill.Metadata.Component.Version)
		sum, _, _ := strings.Cut(harness.Run(t, harness.Timeout, "sha256sum", program).Out(t), " ")
		require.Len(t, bill.Metadata.Component.Hashes, 1)
		assert.Equal(t, sum, bill.Metadata.Component.Hashes[0].Content)
		var got []string
		for _, c := range bill.Components {
			assert.Equal(t, "pkg:golang/"+c.Name+"@"+c.Version, c.PURL)
			if c.Name != "std" {
				got = append(got, c.Name+"@"+c.Version)
				assert.Len(t, c.Hashes, 1, c.Name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		assert.Equal(t, want, got, system)
		hasSDK := slices.ContainsFunc(want, func(m string) bool { return strings.HasPrefix(m, "gocloud.dev@") })
		assert.Equal(t, strings.HasSuffix(system, "-stores"), hasSDK, system)
		if strings.HasPrefix(system, "linux-amd64") {
			assert.Contains(t, harness.Run(t, harness.Timeout, program, "version").Out(t), version)
		}
	}
}

// The packages of all distributions have the same files and the same program.
// Proves S-219.
func TestPackageFormats(t *testing.T) {
	dir, version := builtPackages(t)
	program := harness.Sh(t, "tar -xOzf "+dir+"/downloadfs-"+version+"-linux-amd64.tar.gz downloadfs | sha256sum").Out(t)
	wanted := []string{
		"/usr/bin/downloadfs", "/etc/downloadfs/config.yaml",
		"/usr/lib/systemd/user/downloadfs@.service", "/usr/lib/systemd/system/downloadfs@.service",
		"/usr/share/man/man1/downloadfs-mount.1.gz", "/usr/share/man/man8/mount.downloadfs.8.gz", "/usr/share/man/man8/mount.fuse.downloadfs.8.gz",
		"/usr/share/bash-completion/completions/downloadfs", "/usr/share/fish/vendor_completions.d/downloadfs.fish",
		"/usr/share/doc/downloadfs/README.md",
	}
	for name, list := range map[string]string{
		"downloadfs_" + version + "-1_amd64.deb":           "dpkg-deb -c %s | awk '{print $6}'",
		"downloadfs_" + version + "-1_arm64.deb":           "dpkg-deb -c %s | awk '{print $6}'",
		"downloadfs-" + version + "-1.x86_64.rpm":          "rpm -qpl %s",
		"downloadfs-" + version + "-1.aarch64.rpm":         "rpm -qpl %s",
		"downloadfs_" + version + "-r1_x86_64.apk":         "tar -tzf %s",
		"downloadfs_" + version + "-r1_aarch64.apk":        "tar -tzf %s",
		"downloadfs-" + version + "-1-x86_64.pkg.tar.zst":  "tar --zstd -tf %s",
		"downloadfs-" + version + "-1-aarch64.pkg.tar.zst": "tar --zstd -tf %s",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			var files []string
			for line := range strings.Lines(harness.Sh(t, strings.ReplaceAll(list, "%s", file)).Out(t)) {
				files = append(files, "/"+strings.Trim(strings.TrimPrefix(strings.TrimSpace(line), "."), "/"))
			}
			for _, want := range wanted {
				assert.Contains(t, files, want)
			}
			helpers := "/usr/sbin"
			switch {
			case strings.HasSuffix(name, ".apk"):
				helpers = "/sbin"
			case strings.HasSuffix(name, ".zst"): // where /usr/sbin is a link, which no package may replace
				helpers = "/usr/bin"
				assert.NotContains(t, strings.Join(files, "\n"), "/usr/sbin")
			}
			assert.Contains(t, files, helpers+"/mount.downloadfs")
			assert.Contains(t, files, helpers+"/mount.fuse.downloadfs")
			read := "bsdtar -xOf " + file + " '*usr/bin/downloadfs'"
			if strings.HasSuffix(name, ".deb") {
				read = "dpkg-deb --fsys-tarfile " + file + " | tar -xO ./usr/bin/downloadfs"
			}
			if regexp.MustCompile(`amd64|x86_64`).MatchString(name) {
				assert.Equal(t, program, harness.Sh(t, "{ "+read+"; } 2>/dev/null | sha256sum").Out(t))
			}
		})
	}

	// An rpm goes into a root of its own, is verified there, and leaves it again.
	rpm := filepath.Join(dir, "downloadfs-"+version+"-1.x86_64.rpm")
	root := harness.Dir(t, harness.User{})
	assert.Equal(t, "downloadfs "+version+" Apache-2.0 x86_64", harness.Run(t, harness.Timeout, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{LICENSE} %{ARCH}", rpm).Out(t))
	assert.Contains(t, harness.Run(t, harness.Timeout, "rpm", "-qp", "--recommends", rpm).Out(t), "fuse3")
	assert.Equal(t, "/etc/downloadfs/config.yaml", harness.Run(t, harness.Timeout, "rpm", "-qpc", rpm).Out(t))
	harness.Run(t, harness.Timeout, "rpm", "-K", "--nosignature", rpm).OK(t)
	in := func(args ...string) harness.Result {
		return harness.Run(t, harness.Timeout, "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm"}, args...)...)
	}
	in("-i", "--nodeps", "--noscripts", rpm).OK(t)
	in("-V", "--nodeps", "--noscripts", "downloadfs").OK(t)
	harness.Run(t, harness.Timeout, filepath.Join(root, "usr/bin/downloadfs"), "version").OK(t)
	in("-e", "--nodeps", "--noscripts", "downloadfs").OK(t)
	assert.Empty(t, harness.Sh(t, "find "+root+" -mindepth 1 -name '*downloadfs*' -not -path '*/var/lib/rpm/*'").Out(t))

	// What apk and pacman read about a package.
	info := harness.Sh(t, "tar -xOzf "+filepath.Join(dir, "downloadfs_"+version+"-r1_x86_64.apk")+" .PKGINFO").Out(t)
	assert.Regexp(t, `(?m)^pkgver = `+regexp.QuoteMeta(version)+`-r1$`, info)
	assert.Regexp(t, `(?m)^depend = fuse3$`, info)
	assert.Regexp(t, `(?m)^datahash = [0-9a-f]{64}$`, info)
	arch := filepath.Join(dir, "downloadfs-"+version+"-1-x86_64.pkg.tar.zst")
	info = harness.Sh(t, "tar --zstd -xOf "+arch+" .PKGINFO").Out(t)
	assert.Regexp(t, `(?m)^pkgver = `+regexp.QuoteMeta(version)+`-1$`, info)
	assert.Regexp(t, `(?m)^backup = etc/downloadfs/config.yaml$`, info)
	assert.Contains(t, harness.Sh(t, "tar --zstd -xOf "+arch+" .MTREE | zcat").Out(t), "./usr/bin/downloadfs ")
}

// The same source gives the same bytes: in another directory, with another umask, time
// zone and language.
// Proves S-219.
func TestPackageReproducible(t *testing.T) {
	dir, version := builtPackages(t)
	copied := harness.Dir(t, harness.User{})
	root := must(filepath.Abs(".."))(t)
	harness.Sh(t, "cd "+root+" && git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -C "+copied+" -xf -").OK(t)
	home := must(os.UserHomeDir())(t)
	env := []string{"HOME=" + home, "VERSION=" + version, "SOURCE_DATE_EPOCH=" + harness.Sh(t, "git -C "+root+" log -1 --format=%ct").Out(t),
		"TZ=Asia/Tokyo", "LANG=tr_TR.UTF-8", "TMPDIR=" + harness.Dir(t, harness.User{})}
	for _, name := range []string{"GOPROXY", "GOFLAGS", "GOCACHE", "GOMODCACHE", "GOPATH", "GONOSUMDB", "GOSUMDB", "GONOSUMCHECK", "GOTOOLCHAIN"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	harness.Cmd{Env: append(env, "PATH="+os.Getenv("PATH")), Dir: copied, Name: "bash", Args: []string{"-c", "umask 077; scripts/package all"}, Timeout: 20 * harness.Timeout}.Run(t).OK(t)
	first, second := string(must(os.ReadFile(filepath.Join(dir, "SHA256SUMS")))(t)), string(must(os.ReadFile(filepath.Join(copied, "bin/packages/SHA256SUMS")))(t))
	assert.Equal(t, first, second)
	assert.GreaterOrEqual(t, strings.Count(first, "\n"), 24)
}

// The container image runs as it is: it knows the certificate authorities, and root
// mounts in it with nothing but /dev/fuse.
// Proves S-219.
func TestPackageImage(t *testing.T) {
	dir, version := builtPackages(t)
	if !(harness.User{}).Root() {
		t.Skip("a root of its own needs root")
	}
	for _, system := range []string{"amd64", "arm64", "amd64-stores", "arm64-stores"} {
		arch, _, stores := strings.Cut(system, "-")
		tag := version
		if stores {
			tag += "-stores"
		}
		file := filepath.Join(dir, "downloadfs-"+version+"-linux-"+system+".oci.tar")
		// Both ways to read it: that of podman, and the older one of docker.
		for _, transport := range []string{"oci-archive:" + file + ":" + tag, "docker-archive:" + file} {
			var image struct{ Architecture, Os string }
			require.NoError(t, json.Unmarshal([]byte(harness.Run(t, harness.Timeout, "skopeo", "inspect", "--override-os", "linux", "--override-arch", arch, "--config", transport).Out(t)), &image))
			assert.Equal(t, arch, image.Architecture, transport)
			assert.Equal(t, "linux", image.Os, transport)
		}
	}
	work := harness.Dir(t, harness.User{})
	harness.Run(t, harness.Timeout, "skopeo", "--insecure-policy", "copy", "oci-archive:"+dir+"/downloadfs-"+version+"-linux-amd64.oci.tar:"+version, "oci:"+work+"/image:x").OK(t)
	harness.Run(t, harness.Timeout, "umoci", "unpack", "--image", work+"/image:x", work+"/bundle").OK(t)
	root := filepath.Join(work, "bundle/rootfs")
	var config struct {
		Process struct{ Args, Env []string }
	}
	require.NoError(t, json.Unmarshal(must(os.ReadFile(filepath.Join(work, "bundle/config.json")))(t), &config))
	assert.Equal(t, []string{"/usr/bin/downloadfs", "help"}, config.Process.Args)
	assert.Greater(t, strings.Count(string(must(os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")))(t)), "BEGIN CERTIFICATE"), 100)

	for _, name := range []string{"proc", "dev"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, name), 0o755))
	}
	bindDevices(t, root) // as whoever runs the container does
	s := harness.StartServer(t, harness.Samples(t))
	command := func(args ...string) harness.Cmd {
		env := append(slices.Clone(config.Process.Env), "HOME=/root", "ALFRESCO_USERNAME="+harness.AdminName, "ALFRESCO_PASSWORD="+harness.AdminPassword)
		return harness.Cmd{Name: "chroot", Args: append([]string{root, config.Process.Args[0]}, args...), Env: env}
	}
	assert.Contains(t, command("version").Run(t).Out(t), version)
	command("get", "--server", s.URL, "-o", "/tmp/photos.zip", "/"+photos).Run(t).OK(t)
	harness.Sh(t, "unzip -tq "+root+"/tmp/photos.zip").OK(t)
	doctor := command("doctor", s.URL).Run(t).OK(t)
	assert.NotContains(t, doctor.Stdout, "FAIL")
	mount := command("mount", s.URL, "/mnt").Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(mount.Output(), "mounted ") || !mount.Running() }, "no mount")
	require.True(t, mount.Running(), "%s", mount.Output())
	harness.Sh(t, "cd "+root+"/mnt/downloads && echo /"+photos+" >new && unzip -tq */archive.zip").OK(t)
	mount.Signal(t, syscall.SIGTERM)
	r := mount.Wait()
	assert.Zero(t, r.Code, "%s", r)
	assert.False(t, harness.Mounted(t, root+"/mnt"))
}

// What README and dist/containers say of containers is so with podman itself.
// Proves S-157, S-219.
func TestPackageContainers(t *testing.T) {
	packages, version := builtPackages(t)
	if !(harness.User{}).Root() {
		t.Skip("a mount that others see needs root")
	}
	dir := harness.Dir(t, harness.User{})
	// Where tests run, limits cannot be raised and control groups may be of either kind.
	conf, storage := filepath.Join(dir, "containers.conf"), filepath.Join(dir, "storage.conf")
	require.NoError(t, os.WriteFile(conf, []byte(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
`), 0o600))
	require.NoError(t, os.WriteFile(storage, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/graph", dir+"/run"), 0o600))
	env := []string{
		"CONTAINERS_CONF=" + conf, "CONTAINERS_STORAGE_CONF=" + storage, "DOWNLOADFS_PODMAN=" + filepath.Join(dir, "kept"),
		"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword,
	}
	sh := func(command string) harness.Cmd {
		return harness.Cmd{Name: "sh", Args: []string{"-ec", command}, Dir: dir, Env: env}
	}
	sh("podman load -i " + packages + "/downloadfs-" + version + "-linux-amd64.oci.tar").Run(t).OK(t)
	if r := sh("podman run --rm downloadfs:" + version + " version").Run(t); strings.Contains(r.Stderr, "OCI") {
		t.Skipf("podman can run no container here: %s", r.Stderr)
	} else {
		assert.Contains(t, r.Out(t), version)
	}
	s := harness.StartServer(t, harness.Samples(t))
	shared := harness.Dir(t, harness.User{})
	harness.Sh(t, "mount --bind "+shared+" "+shared+" && mount --make-shared "+shared+" && mkdir "+shared+"/alfresco").OK(t)
	t.Cleanup(func() {
		sh("podman rm --all --force").Run(t).OK(t)
		harness.Sh(t, "umount --recursive "+shared).OK(t)
	})
	readme := string(must(os.ReadFile("../README.md"))(t))
	as := func(pattern string) string { // a command of README, here
		found := regexp.MustCompile(pattern).FindString(strings.ReplaceAll(readme, "\\\n", ""))
		require.NotEmpty(t, found, pattern)
		return strings.NewReplacer("docker run", "exec podman run --replace --name readme", "VERSION", version, "https://alfresco.example.com", s.URL,
			"--security-opt apparmor=unconfined", "", "/Sites/press", "/"+photos, "/srv", shared).Replace(found)
	}
	sh(as(`docker run .* get .*`)).Run(t).OK(t)
	harness.Sh(t, "unzip -tq "+dir+"/photos.zip").OK(t)
	for name, run := range map[string]string{
		"readme": as(`docker run .* mount .*`),
		"script": "exec " + must(filepath.Abs("../dist/containers/podman-mount"))(t) + " " + shared + "/alfresco --name script -e ALFRESCO_USERNAME -e ALFRESCO_PASSWORD downloadfs:" +
			version + " mount --allow-other " + s.URL + " /dev/fd/3",
	} {
		p := sh(run).Start(t)
		harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(p.Output(), "mounted ") || !p.Running() }, "no mount")
		require.True(t, p.Running(), "%s", p.Output())
		harness.Sh(t, "cd "+shared+"/alfresco/downloads && echo /"+photos+" >new && unzip -tq */archive.zip && rmdir -- *-*").OK(t)
		sh("podman stop " + name).Run(t).OK(t)
		r := p.Wait()
		assert.Zero(t, r.Code, "%s", r)
		assert.False(t, harness.Mounted(t, shared+"/alfresco"))
	}
}
