package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"downloadfs/download"
)

const (
	// gatherFor is how long notifications are gathered. If there are more than
	// fewEnough then, one stands for all of them.
	gatherFor = 500 * time.Millisecond
	fewEnough = 3
	// maxUntold is how many may wait for the desktop. More are not told.
	maxUntold = 10_000
	// desktopTimeout is how long the desktop may take to answer.
	desktopTimeout = 5 * time.Second
)

// notifications is the desktop's service for them, see
// https://specifications.freedesktop.org/notification-spec.
const (
	notificationsName = "org.freedesktop.Notifications"
	notificationsPath = "/org/freedesktop/Notifications"
)

// notifier shows a notification on the desktop when a download is ready or has failed.
// That the desktop cannot be reached is logged once and disturbs nothing.
type notifier struct {
	mountpoint string
	log        *slog.Logger
	ended      chan download.Snapshot
	cancel     context.CancelFunc
	done       chan struct{}

	// The goroutine's own.
	conn   *dbus.Conn
	markup bool // the desktop takes the text for markup
	warned bool
}

// startNotifier starts a notifier. Close ends it.
func startNotifier(mountpoint string, log *slog.Logger) *notifier {
	ctx, cancel := context.WithCancel(context.Background())
	n := &notifier{mountpoint: mountpoint, log: log, ended: make(chan download.Snapshot, maxUntold), cancel: cancel, done: make(chan struct{})}
	go n.run(ctx)
	return n
}

// tell has a notification shown about a download that has ended. It does not block.
func (n *notifier) tell(s download.Snapshot) {
	select {
	case n.ended <- s:
	default:
	}
}

func (n *notifier) close() {
	n.cancel()
	<-n.done
}

func (n *notifier) run(ctx context.Context) {
	defer close(n.done)
	defer func() {
		if n.conn != nil {
			_ = n.conn.Close()
		}
	}()
	if err := n.connect(ctx); err != nil { // better now than when the first is ready
		n.failed(err)
	}
	for {
		var all []download.Snapshot
		select {
		case s := <-n.ended:
			all = append(all, s)
		case <-ctx.Done():
			return
		}
		for gathered := time.After(gatherFor); gathered != nil; {
			select {
			case s := <-n.ended:
				all = append(all, s)
			case <-gathered:
				gathered = nil
			case <-ctx.Done():
				return
			}
		}
		for _, note := range notes(all, n.mountpoint) {
			if err := n.show(ctx, note); err != nil {
				n.failed(err)
			}
		}
	}
}

func (n *notifier) failed(err error) {
	level := slog.LevelDebug
	if !n.warned {
		n.warned, level = true, slog.LevelWarn
	}
	n.log.Log(context.Background(), level, "cannot show notifications on the desktop", "op", "notify", "err", err)
}

// connect makes sure that there is a connection to the session bus. Without an address
// the library would start a bus.
func (n *notifier) connect(ctx context.Context) error {
	if n.conn != nil && n.conn.Connected() {
		return nil
	}
	address := sessionBus()
	if address == "" {
		return errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR leads to one")
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("cannot reach the session bus: %w", err)
	}
	n.conn = conn
	ctx, cancel := context.WithTimeout(ctx, desktopTimeout)
	defer cancel()
	var can []string
	if err := n.desktop().CallWithContext(ctx, notificationsName+".GetCapabilities", 0).Store(&can); err != nil {
		return fmt.Errorf("the desktop shows no notifications: %w", err)
	}
	n.markup = slices.Contains(can, "body-markup")
	return nil
}

func (n *notifier) desktop() dbus.BusObject {
	return n.conn.Object(notificationsName, notificationsPath)
}

// note is one notification.
type note struct {
	title, text string
	failed      bool
}

func (n *notifier) show(ctx context.Context, note note) error {
	if err := n.connect(ctx); err != nil {
		return err
	}
	text := note.text
	if n.markup {
		text = html.EscapeString(text)
	}
	icon, urgency := "folder-download", byte(1) // normal: critical ones stay until they are dismissed
	if note.failed {
		icon = "dialog-error"
	}
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency), "category": dbus.MakeVariant("transfer")}
	ctx, cancel := context.WithTimeout(ctx, desktopTimeout)
	defer cancel()
	const newOne, desktopDecides = uint32(0), int32(-1)
	return n.desktop().CallWithContext(ctx, notificationsName+".Notify", 0,
		"downloadfs", newOne, icon, note.title, text, []string{}, hints, desktopDecides).Err
}

// notes returns what to show about downloads that have ended.
func notes(all []download.Snapshot, mountpoint string) []note {
	dir := printable(filepath.Join(mountpoint, "downloads"))
	if len(all) > fewEnough {
		return []note{summary(all, dir)}
	}
	var found []note
	for _, s := range all {
		name := printable(s.Name)
		if !s.Ready {
			why := "its state is " + string(s.Status)
			if s.Err != nil {
				why = printable(s.Err.Error())
			}
			found = append(found, note{title: "Download failed: " + name, text: why, failed: true})
			continue
		}
		found = append(found, note{
			title: "Download ready: " + name,
			text:  fmt.Sprintf("%s, %s, is in %s", cmp.Or(printable(s.Archive.Name), "archive.zip"), bytesText(s.Archive.Size), filepath.Join(dir, name)),
		})
	}
	return found
}

// summary returns what to show about many downloads in dir.
func summary(all []download.Snapshot, dir string) note {
	var said []string
	ready := 0
	for _, s := range all {
		if s.Ready {
			ready++
		}
	}
	if ready > 0 {
		said = append(said, counted(ready, "download is ready", "downloads are ready"))
	}
	failed := len(all) - ready
	if failed > 0 {
		said = append(said, counted(failed, "download failed", "downloads failed"))
	}
	return note{title: strings.Join(said, ", "), text: "They are in " + dir, failed: failed > 0}
}

// counted returns a number and its noun.
func counted[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// sessionBus returns the address of this user's session bus, or "".
func sessionBus() string {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if bus := filepath.Join(dir, "bus"); fileExists(bus) {
			return "unix:path=" + bus
		}
	}
	return ""
}
