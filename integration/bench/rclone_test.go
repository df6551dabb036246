package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// peerName is the file that rclone's mount shows.
const peerName = "archive.zip"

// hasRclone tells whether the peer is installed.
func hasRclone() bool {
	_, err := exec.LookPath("rclone")
	return err == nil
}

// peerIndex serves a page with one link, to an archive of s: the listing that
// rclone's HTTP remote wants. The content itself comes from s.
func peerIndex(t *testing.T, s *harness.Server, id string, n int64) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"userId": harness.AdminName, "password": harness.AdminPassword})
	require.NoError(t, err)
	code, answer := s.Do(t, "POST", "/alfresco/api/-default-/public/authentication/versions/1/tickets", body)
	require.Equal(t, http.StatusCreated, code, "%s", answer)
	var ticket struct{ Entry struct{ ID string } }
	require.NoError(t, json.Unmarshal(answer, &ticket))
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/"+peerName:
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<html><body><a href="%s">%[1]s</a></body></html>`, peerName)
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
			w.Header().Set("Accept-Ranges", "bytes")
		default:
			http.Redirect(w, r, contentURL(s, id)+"?alf_ticket="+ticket.Entry.ID, http.StatusTemporaryRedirect)
		}
	}))
	t.Cleanup(index.Close)
	return index.URL
}

// readPeer mounts an archive with rclone, its cache empty, and returns how long
// reading it took.
func readPeer(t *testing.T, u harness.User, index, cacheMode string) time.Duration {
	t.Helper()
	dir := harness.Dir(t, u)
	mnt := dir + "/mnt"
	harness.ShAs(t, u, "mkdir "+mnt).OK(t)
	p := harness.Cmd{
		User: u, Name: "rclone", Timeout: patience,
		Env: []string{"RCLONE_CONFIG=" + dir + "/none"},
		Args: []string{"mount", ":http:", mnt, "--http-url", index + "/", "--read-only",
			"--vfs-cache-mode", cacheMode, "--cache-dir", dir + "/cache", "--log-level", "ERROR"},
	}.Start(t)
	defer func() {
		harness.Eventually(t, patience, func() bool {
			return harness.ShAs(t, u, "fusermount3 -u "+mnt).Code == 0
		}, "rclone's mount is not unmounted")
		p.Wait()
		require.NoError(t, os.RemoveAll(dir+"/cache"))
	}()
	harness.Eventually(t, harness.Timeout, func() bool {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		return strings.Contains(string(mounts), " "+mnt+" ")
	}, "rclone does not mount: %s", p.Output())
	return read(t, u, mnt+"/"+peerName)
}
