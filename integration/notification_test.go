package integration

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// notification is a notification as a desktop gets it.
type notification struct{ App, Title, Text string }

// noticeBoard is a service for notifications that passes them on to the test.
type noticeBoard struct{ notes chan notification }

// GetCapabilities and Notify are methods of org.freedesktop.Notifications.
func (noticeBoard) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"body", "body-markup"}, nil
}

func (d noticeBoard) Notify(app string, _ uint32, _, title, text string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	d.notes <- notification{app, title, text}
	return 1, nil
}

// startDesktop starts a session bus with a service for notifications on it, and
// returns the environment of its session.
func startDesktop(t *testing.T) (noticeBoard, []string) {
	t.Helper()
	dir := harness.Dir(t, harness.User{})
	bus := filepath.Join(dir, "bus")
	address := "unix:path=" + bus
	harness.Cmd{Name: "dbus-daemon", Args: []string{"--session", "--nofork", "--nopidfile", "--address=" + address}, Timeout: 5 * harness.Timeout}.Start(t)
	harness.Eventually(t, harness.Timeout, func() bool { return listens(bus) }, "no session bus")
	conn, err := dbus.Connect(address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	d := noticeBoard{notes: make(chan notification, 1000)}
	require.NoError(t, conn.Export(d, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"))
	reply, err := conn.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue)
	require.NoError(t, err)
	require.Equal(t, dbus.RequestNameReplyPrimaryOwner, reply)
	return d, []string{"XDG_RUNTIME_DIR=" + dir} // as systemd sets it
}

// listens reports whether somebody listens on a Unix socket. Its file is there before.
func listens(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// next waits for a notification.
func (d noticeBoard) next(t testing.TB) notification {
	t.Helper()
	select {
	case n := <-d.notes:
		return n
	case <-time.After(harness.Scaled(harness.Timeout)):
		require.FailNow(t, "no notification")
		return notification{}
	}
}

// TestNotifications: the desktop tells of what is ready and of what has failed, by
// name, and of nothing that the user removed.
// Proves S-198.
func TestNotifications(t *testing.T) {
	t.Parallel()
	d, env := startDesktop(t)
	server := slow(t)
	m := harness.StartMount(t, server, harness.MountOptions{Env: env, Flags: []string{"--notify"}})

	id := submit(t, m, "Sites/press/documentLibrary/photos")
	m.Sh(t, `mv `+id+` '<b>R&D'`).OK(t)
	n := d.next(t)
	assert.Equal(t, "downloadfs", n.App)
	assert.Equal(t, "Download ready: <b>R&D", n.Title)
	assert.Regexp(t, `^photos\.zip, \d+(\.\d)? MB, is in `+m.Downloads+`/&lt;b&gt;R&amp;D$`, n.Text)

	removed := submit(t, m, "Sites/press/documentLibrary/photos")
	m.Sh(t, "rmdir "+removed).OK(t)
	cancelled := submit(t, m, "Sites/press/documentLibrary/photos")
	m.Sh(t, "rm "+cancelled+"/archive.zip").OK(t)

	failed := submit(t, m, "Sites/press/documentLibrary/photos")
	code, _ := server.Core(t, "DELETE", "/downloads/"+failed, nil)
	require.Equal(t, 202, code)
	n = d.next(t)
	assert.Equal(t, "Download failed: "+failed, n.Title)
	assert.Equal(t, "the download was cancelled", n.Text)

	for range 5 {
		m.Create(t, "/Sites/press/documentLibrary/report.txt")
	}
	for ready := 0; ready < 5; {
		n := d.next(t)
		switch {
		case strings.HasPrefix(n.Title, "Download ready: "):
			ready++
		default:
			require.Regexp(t, `^[45] downloads are ready$`, n.Title)
			ready += int(n.Title[0] - '0')
		}
	}
	select {
	case n := <-d.notes:
		require.Fail(t, "one more", "%v", n)
	default:
	}
}

// TestNotificationsWithoutDesktop: without a session, or with one that shows no
// notifications, there is one warning, and all else works.
// Proves S-198.
func TestNotificationsWithoutDesktop(t *testing.T) {
	t.Parallel()
	server := harness.StartServer(t, harness.Samples(t))
	for env, why := range map[string]string{
		"": "there is no session bus",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent/bus": "cannot reach the session bus",
	} {
		m := harness.StartMount(t, server, harness.MountOptions{Env: strings.Fields(env), Flags: []string{"--notify"}, Allow: []string{"cannot show notifications"}})
		for range 2 {
			id := submit(t, m, "Sites/press/documentLibrary/report.txt")
			m.Sh(t, "unzip -tq "+id+"/archive.zip").OK(t)
			m.Log.AwaitRecord(t, harness.Timeout, "the end", func(r harness.Record) bool { return r.String("state") == "DONE" && r.String("download") == id })
		}
		m.Unmount(t)
		warned := 0
		for _, r := range m.Log.Records("notify") {
			if r.String("level") == "WARN" {
				warned++
				assert.Contains(t, r.String("err"), why)
			}
		}
		assert.Equal(t, 1, warned)
	}
}
