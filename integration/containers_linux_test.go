package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"downloadfs/integration/harness"
)

// manifest is what the tests need of an object of Kubernetes.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     podSpec
}

type podSpec struct {
	Template       struct{ Spec *podSpec } // of a Job
	InitContainers []container             `yaml:"initContainers"`
	Containers     []container
	Volumes        []struct {
		Name      string
		ConfigMap struct{ Name string }
		Secret    struct {
			SecretName string `yaml:"secretName"`
		}
		PersistentVolumeClaim struct {
			ClaimName string `yaml:"claimName"`
		} `yaml:"persistentVolumeClaim"`
	}
}

type container struct {
	Name, Image   string
	Command, Args []string
	RestartPolicy string `yaml:"restartPolicy"`
	StartupProbe  struct {
		Exec struct{ Command []string }
	} `yaml:"startupProbe"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

// examples returns the objects in dist/kubernetes, by file.
func examples(t testing.TB) map[string][]manifest {
	t.Helper()
	files, err := filepath.Glob("../dist/kubernetes/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := make(map[string][]manifest)
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		for d := yaml.NewDecoder(f); ; {
			var m manifest
			err := d.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, file)
			all[filepath.Base(file)] = append(all[filepath.Base(file)], m)
		}
		require.NoError(t, f.Close())
	}
	return all
}

// mountArgs returns the arguments of downloadfs in the sidecar of a pod.
func mountArgs(t testing.TB, pod podSpec) []string {
	t.Helper()
	require.NotEmpty(t, pod.InitContainers)
	c := pod.InitContainers[0]
	if i := slices.Index(c.Args, "/usr/bin/downloadfs"); i >= 0 { // after the starter
		return c.Args[i+1:]
	}
	require.Empty(t, c.Command, "the image knows its program")
	return c.Args
}

// The examples for Kubernetes are what this version understands: their configuration,
// their flags, and what each pod refers to.
func TestContainerExamples(t *testing.T) {
	t.Parallel()
	claims := make(map[string]bool)
	all := examples(t)
	for _, objects := range all {
		for _, m := range objects {
			claims[m.Metadata.Name] = claims[m.Metadata.Name] || m.Kind == "PersistentVolumeClaim"
		}
	}
	for file, objects := range all {
		configs := make(map[string]string)
		pods := 0
		for _, m := range objects {
			if m.Kind == "ConfigMap" {
				path := filepath.Join(harness.Dir(t, harness.User{}), "config.yaml")
				require.NoError(t, os.WriteFile(path, []byte(m.Data["config.yaml"]), 0o644))
				configs[m.Metadata.Name] = path
				harness.Run(t, harness.Timeout, harness.Binary(), "config", "check", "--config", path).OK(t)
			}
		}
		for _, m := range objects {
			pod := m.Spec
			if pod.Template.Spec != nil {
				pod = *pod.Template.Spec
			}
			if len(pod.Containers) == 0 {
				continue
			}
			pods++
			volumes, config := make(map[string]bool), ""
			for _, v := range pod.Volumes {
				volumes[v.Name] = true
				if claim := v.PersistentVolumeClaim.ClaimName; claim != "" {
					assert.True(t, claims[claim], "%s: nobody makes the volume %s", file, claim)
				}
				if v.ConfigMap.Name != "" {
					config = configs[v.ConfigMap.Name]
					assert.NotEmpty(t, config, "%s: there is no %s", file, v.ConfigMap.Name)
				}
			}
			for _, c := range append(pod.InitContainers, pod.Containers...) {
				for _, v := range c.VolumeMounts {
					assert.True(t, volumes[v.Name], "%s: container %s mounts an unknown volume %s", file, c.Name, v.Name)
				}
			}
			assert.Equal(t, "Always", pod.InitContainers[0].RestartPolicy, "%s: it is not a sidecar", file)
			args := mountArgs(t, pod)
			require.Equal(t, "mount", args[0], file)
			harness.Run(t, harness.Timeout, harness.Binary(), append(slices.Clone(args), "--help")...).OK(t)
			if config == "" {
				continue
			}
			// The profile is there, and its paths are in the volumes of the pod.
			shown := harness.Run(t, harness.Timeout, harness.Binary(), "config", "show", "--config", config, args[1]).Out(t)
			var profile map[string]string
			require.NoError(t, yaml.Unmarshal([]byte(shown), &profile), shown)
			paths := []string{profile["mountpoint"], strings.TrimPrefix(profile["share"], "file://"), profile["share-key-file"]}
			if command := pod.InitContainers[0].StartupProbe.Exec.Command; assert.Len(t, command, 3, file) {
				assert.Equal(t, []string{"/usr/bin/downloadfs", "status", profile["mountpoint"]}, command, file)
			}
			for _, path := range paths {
				in := slices.ContainsFunc(pod.InitContainers[0].VolumeMounts, func(v struct {
					Name      string
					MountPath string `yaml:"mountPath"`
				}) bool {
					return strings.HasPrefix(path, v.MountPath+"/")
				})
				assert.True(t, in, "%s: %s is in no volume", file, path)
			}
		}
		assert.Equal(t, 1, pods, file)
	}
}

// confined is a shell command that runs "$@" as a container without privileges does: in
// a mount namespace that has neither /dev/fuse nor the mountpoint MNT, as nobody, and
// with no capability.
const confined = `
mount -t tmpfs none /tmp/.dev.$$ 2>/dev/null || { mkdir /tmp/.dev.$$; mount -t tmpfs none /tmp/.dev.$$; }
for d in null zero urandom; do touch /tmp/.dev.$$/$d; mount --bind /dev/$d /tmp/.dev.$$/$d; done
ln -s /proc/self/fd /tmp/.dev.$$/fd
umount -l "$MNT"
umount --all --lazy --types fuse.downloadfs || true # other tests'
mount --move /tmp/.dev.$$ /dev
rmdir /tmp/.dev.$$
[ ! -e /dev/fuse ] || exit 99
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
`

// forContainer is what a container without privileges needs that serves a mount of the
// node: a server, directories for what it keeps, which are in env, and a mountpoint.
func forContainer(t testing.TB) (s *harness.Server, env []string, dir, mnt string) {
	t.Helper()
	if !(harness.User{}).Root() {
		t.Skip("mounting without the binary needs root")
	}
	s = harness.StartServer(t, harness.Samples(t))
	dir = harness.Dir(t, harness.User{})
	require.NoError(t, os.Chmod(dir, 0o711))
	for _, name := range []string{"state", "cache"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.Chown(filepath.Join(dir, name), 65534, 65534))
	}
	env = []string{
		"XDG_STATE_HOME=" + dir + "/state", "XDG_CACHE_HOME=" + dir + "/cache", "PATH=" + os.Getenv("PATH"),
		"ALFRESCO_USERNAME=" + harness.AdminName, "ALFRESCO_PASSWORD=" + harness.AdminPassword,
	}
	return s, env, dir, harness.Dir(t, harness.User{})
}

// TestContainerWithoutPrivileges: a helper on the node, as that of
// dist/kubernetes/unprivileged.yaml, opens /dev/fuse, mounts it and sends it through a
// socket to a container that may do nothing, which serves it with the example's
// arguments.
// Proves S-157.
func TestContainerWithoutPrivileges(t *testing.T) {
	t.Parallel()
	s, env, dir, mnt := forContainer(t)
	socket := filepath.Join(dir, "downloadfs.sock")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Chown(socket, 65534, 65534))

	args := slices.Clone(mountArgs(t, examples(t)["unprivileged.yaml"][0].Spec))
	args[slices.Index(args, "https://alfresco.example.com")] = s.URL
	self, err := os.Executable()
	require.NoError(t, err)
	p := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-ec", confined, "sh", self, harness.Binary()}, args...)...)
	p.Env = append(env, envStarter+"="+socket, "MNT="+mnt)
	var stderr strings.Builder
	p.Stderr = &stderr
	out, err := p.StdoutPipe()
	require.NoError(t, err)

	// The helper mounts before it starts the container, so that the namespace of the
	// container has a copy of the mount, which it gives up.
	fd, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Mount("helper", mnt, "fuse", unix.MS_NOSUID|unix.MS_NODEV,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd.Fd())))
	t.Cleanup(func() { _ = unix.Unmount(mnt, unix.MNT_DETACH) })
	require.NoError(t, p.Start())
	ended := make(chan error, 1)
	t.Cleanup(func() { _ = p.Process.Kill() })
	c, err := l.Accept()
	require.NoError(t, err)
	_, _, err = c.(*net.UnixConn).WriteMsgUnix([]byte("{}"), unix.UnixRights(int(fd.Fd())), nil)
	require.NoError(t, err)
	require.NoError(t, fd.Close())
	require.NoError(t, c.Close())
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err, &stderr)
	assert.Contains(t, string(line[:n]), "mounted "+s.URL+" on /dev/fd/3")
	go func() { ended <- p.Wait() }()
	inPod(t, mnt)
	harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
	select {
	case err := <-ended:
		require.NoError(t, err, &stderr)
	case <-time.After(harness.Timeout):
		require.FailNow(t, "it does not end", "%s", &stderr)
	}
	assert.NotContains(t, stderr.String(), "level=ERROR")
	assert.NotContains(t, stderr.String(), "level=WARN")
}

// inPod uses a mount as the other containers of a pod do, which have the same user.
func inPod(t testing.TB, mnt string) {
	t.Helper()
	r := harness.Run(t, harness.Timeout, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec",
		"cd "+mnt+"/downloads; echo /"+photos+" >new; unzip -tq */archive.zip; stat -c %u */archive.zip")
	assert.Equal(t, "65534", strings.Fields(r.OK(t).Stdout)[len(strings.Fields(r.Stdout))-1])
}

// fakePodman does what podman does with the options of dist/containers/podman-mount.
const fakePodman = `#!/bin/sh
set -e
[ "$1 $2 $3 $4 $5 $6 $7" = "run --rm --preserve-fds=1 --user 65534:65534 --cap-drop=all --security-opt=no-new-privileges" ]
shift 7
[ "$1 $2 $3 $4" = "-v $DOWNLOADFS_PODMAN/state:/var/lib/downloadfs -v $DOWNLOADFS_PODMAN/cache:/var/cache/downloadfs" ]
shift 4
[ "$1 $2" = "-e ALFRESCO_USERNAME" ] && [ "$3 $4 $5" = "-e ALFRESCO_PASSWORD downloadfs:VERSION" ]
shift 5
exec unshare --mount --propagation private sh -ec "$CONFINED" sh "$BINARY" "$@"
`

// TestContainerByScript: dist/containers/podman-mount opens and mounts /dev/fuse, and a
// container that may do nothing serves it.
// Proves S-157.
func TestContainerByScript(t *testing.T) {
	t.Parallel()
	s, env, dir, mnt := forContainer(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "podman"), []byte(fakePodman), 0o755))
	for i, v := range env {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			env[i] = "PATH=" + dir + ":" + path
		}
	}
	script, err := filepath.Abs("../dist/containers/podman-mount")
	require.NoError(t, err)
	p := harness.Cmd{
		Name: script,
		Args: []string{mnt, "-e", "ALFRESCO_USERNAME", "-e", "ALFRESCO_PASSWORD", "downloadfs:VERSION", "mount", "--allow-other", s.URL, "/dev/fd/3"},
		Env:  append(env, "CONFINED="+confined, "BINARY="+harness.Binary(), "MNT="+mnt, "DOWNLOADFS_PODMAN="+filepath.Join(dir, "kept")),
	}.Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return strings.Contains(p.Output(), "mounted ") || !p.Running() }, "no mount")
	require.True(t, p.Running(), "%s", p.Output())
	inPod(t, mnt)
	harness.Run(t, harness.Timeout, "umount", mnt).OK(t)
	r := p.Wait()
	assert.Zero(t, r.Code, "%s", r)
	assert.False(t, harness.Mounted(t, mnt))
}
