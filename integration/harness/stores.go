package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/ports"
)

// The login of a test's S3 server.
const (
	S3Key    = "AKIATESTKEY"
	S3Secret = "s3-Secret-5d0e"
)

// S3Bucket is the only bucket of a test's S3 server.
const S3Bucket = "archives"

// S3 is a running S3 server with one bucket. It is a real one, which honours
// If-None-Match (see integration/stores).
type S3 struct {
	Addr string // host:port
	Dir  string // the bucket's objects, as files
}

// StartS3 starts an S3 server. It ends with the test.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	root := filepath.Join(Dir(t, User{}), "s3")
	s := &S3{Dir: filepath.Join(root, S3Bucket)}
	require.NoError(t, os.MkdirAll(s.Dir, 0o700))
	s.Addr = startStore(t, Cmd{Name: tool(t, "s3server"), Args: []string{root}, Env: S3Env()})
	return s
}

// StartGS starts a server that speaks Google Cloud Storage's protocol, with one bucket
// in memory. It ends with the test. It returns its address.
func StartGS(t testing.TB, bucket string) (addr string) {
	t.Helper()
	return startStore(t, Cmd{Name: tool(t, "gsserver"), Args: []string{bucket}})
}

// startStore starts a server whose last argument is its address.
func startStore(t testing.TB, c Cmd) (addr string) {
	t.Helper()
	addr = ports.Free(t)
	c.Args = append(c.Args, addr)
	await(t, addr, c)
	return addr
}

// await starts a server and waits until it listens on addr. It ends with the test.
func await(t testing.TB, addr string, c Cmd) {
	t.Helper()
	c.Timeout = 5 * Timeout
	p := c.Start(t)
	t.Cleanup(func() {
		if p.Running() {
			p.Signal(t, syscall.SIGTERM)
		}
		p.Wait()
	})
	Eventually(t, Timeout, func() bool {
		require.True(t, p.Running(), "%s has ended: %s", c.Name, p.Errors())
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "%s does not answer", c.Name)
}

// S3Env is the environment of whoever logs in to a test's S3 server.
func S3Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + S3Key, "AWS_SECRET_ACCESS_KEY=" + S3Secret, "AWS_EC2_METADATA_DISABLED=true"}
}

// S3URL returns the URL of a store in the bucket, reached at addr.
func S3URL(addr string) string {
	return fmt.Sprintf("s3://%s/team?endpoint=http://%s", S3Bucket, addr)
}

var tools sync.Map // by name: func() (string, error)

// tool builds a program of integration/stores, once, and returns its path.
func tool(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(moduleDir(t), "integration", "stores")
	return built(t, name, func(path string) *exec.Cmd {
		return exec.Command("go", "build", "-C", dir, "-buildvcs=false", "-o", path, "./"+name)
	})
}

// moduleDir returns the directory of downloadfs's source.
func moduleDir(t testing.TB) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(dir))
}

// TaggedBinary returns the path of the binary under test, built with tag as well.
func TaggedBinary(t testing.TB, tag string) string {
	t.Helper()
	return built(t, "downloadfs-"+tag, func(path string) *exec.Cmd {
		return exec.Command("go", buildArgs(path, tag)...)
	})
}

func built(t testing.TB, name string, build func(path string) *exec.Cmd) string {
	t.Helper()
	require.NotEmpty(t, toolDir, "the package's tests are not run by Main or MainOfTools")
	once, _ := tools.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		path := filepath.Join(toolDir, name)
		if out, err := build(path).CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		return path, os.Chmod(path, 0o755)
	}))
	path, err := once.(func() (string, error))()
	require.NoError(t, err)
	return path
}

// Azurite is Microsoft's emulator of Azure Blob Storage.
type Azurite struct{ Addr, Account, Key string }

// StartAzurite starts Azurite, with its data in memory. It ends with the test. Without
// Azurite, which scripts/setup stores installs, the test is skipped.
func StartAzurite(t testing.TB) Azurite {
	t.Helper()
	program := filepath.Join(moduleDir(t), "bin", "azurite", "node_modules", ".bin", "azurite-blob")
	if _, err := os.Stat(program); err != nil {
		t.Skip("Azurite is not installed; run: scripts/setup stores")
	}
	a := Azurite{Account: "account", Key: "c2VjcmV0LW9mLWEtdGVzdA=="}
	a.Addr = ports.Free(t)
	_, port, err := net.SplitHostPort(a.Addr)
	require.NoError(t, err)
	await(t, a.Addr, Cmd{Name: program, Args: []string{"--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", port},
		Env: []string{"AZURITE_ACCOUNTS=" + a.Account + ":" + a.Key}})
	return a
}
