package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"downloadfs/client"
	"downloadfs/download"
	"downloadfs/fs"
)

const (
	// maxSkew is how much this clock and the server's may differ.
	maxSkew = 2 * time.Minute
	// lowSpace is the room below which a cache cannot do much.
	lowSpace = 2 << 30
	// leastState is the room that the journal takes at least.
	leastState = 1 << 20
	// certificateSoon is how long before its end a certificate is reported.
	certificateSoon = 14 * 24 * time.Hour
)

func newDoctorCommand() *cobra.Command {
	var o mountOptions
	cmd := &cobra.Command{
		Use:   "doctor [flags] [URL|PROFILE]",
		Short: "Find out why something does not work",
		Long: `doctor checks what a mount needs on this machine and, with a URL or a profile, on the
server. It prints a line for each finding, and says what to do about each failure. It
changes nothing. It takes the flags of mount, to look at what mount would use with
them. The exit code is the one that mount would have for the worst finding; 0 means
that a mount should work.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			d := &doctor{ctx: ctx, cmd: cmd, o: &o, table: tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)}
			return d.run(strings.Join(args, ""))
		},
	}
	o.addFlags(cmd)
	return cmd
}

// doctor collects the findings.
type doctor struct {
	ctx    context.Context
	cmd    *cobra.Command
	o      *mountOptions
	table  *tabwriter.Writer
	failed int
	code   int
}

// The words for the result of a finding.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingFail = "FAIL"
)

func (d *doctor) say(how, what, format string, args ...any) {
	fmt.Fprintf(d.table, "%s\t%s\t%s\n", how, what, printable(oneLine(fmt.Sprintf(format, args...))))
	_ = d.table.Flush()
}

// fail reports a failure. A mount would end with code.
func (d *doctor) fail(code int, what, format string, args ...any) {
	d.failed++
	// The first failure decides the exit code: later ones may follow from it.
	if d.code == 0 {
		d.code = code
	}
	d.say(findingFail, what, format, args...)
}

func (d *doctor) run(name string) error {
	var t target
	var err error
	if name != "" {
		t, err = findServer(d.cmd, name)
	} else {
		_, err = applyProfile(d.cmd, "")
	}
	d.machine() // with the profile's settings
	if err != nil {
		d.fail(exitUsage, "configuration", "%v", err)
	} else {
		d.configuration()
		d.disk("state", d.o.stateDir)
		d.disk("cache", d.o.cacheDir)
	}
	if t.server != nil {
		d.server(t)
	}
	if d.failed > 0 {
		return exitf(d.code, "%d of these must be mended", d.failed)
	}
	return nil
}

// configuration tells which files there are.
func (d *doctor) configuration() {
	files := configFiles(d.cmd)
	there := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return !fileExists(f) })
	if len(there) == 0 {
		d.say(findingOK, "configuration", "no file: there is no %s", strings.Join(files, " and no "))
		return
	}
	d.say(findingOK, "configuration", "%s", strings.Join(there, ", "))
}

// machine checks FUSE.
func (d *doctor) machine() {
	if err := fs.Available(d.o.allowOther); err != nil {
		d.fail(exitMountpoint, "FUSE", "%v", err)
	} else {
		d.say(findingOK, "FUSE", "/dev/fuse can be used")
	}
	if os.Geteuid() == 0 {
		return
	}
	if path, err := exec.LookPath("fusermount3"); err != nil {
		d.say(findingWarn, "mount helper", "fusermount3 is missing; install the package fuse3")
	} else if info, err := os.Stat(path); err != nil || runtime.GOOS == "linux" && info.Mode()&os.ModeSetuid == 0 {
		d.fail(exitMountpoint, "mount helper", "%s has lost its set-user-ID bit, so it cannot mount; install the package fuse3 again", path)
	} else {
		d.say(findingOK, "mount helper", "%s", path)
	}
	d.mountTable("/etc/mtab")
	if text, err := os.ReadFile("/etc/fuse.conf"); err == nil {
		allowed := false
		for line := range strings.Lines(string(text)) {
			allowed = allowed || strings.TrimSpace(line) == "user_allow_other"
		}
		if !allowed {
			d.say(findingOK, "fuse.conf", "without user_allow_other: --allow-other is for root only")
		} else {
			d.say(findingOK, "fuse.conf", "user_allow_other is set")
		}
	}
}

// mountTable checks the file that fusermount3 reads before it unmounts. Debian has it as
// a link; a small container may have none.
func (d *doctor) mountTable(path string) {
	if !fileExists(path) {
		d.say(findingWarn, "mount table", "%s is missing, so fusermount3 cannot unmount; run as root: ln -s /proc/self/mounts %s", path, path)
	}
}

// disk checks the place where files are to be kept.
func (d *doctor) disk(what, dir string) {
	if dir == "" {
		d.fail(exitUsage, what, "there is no home directory; give --%s-dir", what)
		return
	}
	there := dir
	for !fileExists(there) && filepath.Dir(there) != there {
		there = filepath.Dir(there)
	}
	var st unix.Statfs_t
	switch err := unix.Statfs(there, &st); {
	case err != nil:
		d.fail(exitOther, what, "%s: %v; give --%s-dir", dir, err, what)
	case unix.Access(there, unix.W_OK) != nil:
		d.fail(exitOther, what, "%s cannot be written by this user; give --%s-dir", there, what)
	case what == "state" && int64(st.Bavail)*int64(st.Bsize) < leastState:
		d.fail(exitOther, what, "%s: only %s are free; make room there, or give --state-dir", dir, bytesText(int64(st.Bavail)*int64(st.Bsize)))
	case what == "cache" && int64(st.Bavail)*int64(st.Bsize) < lowSpace:
		d.say(findingWarn, what, "%s: only %s are free; archives that do not fit are read straight from the server", dir, bytesText(int64(st.Bavail)*int64(st.Bsize)))
	default:
		d.say(findingOK, what, "%s: %s are free", dir, bytesText(int64(st.Bavail)*int64(st.Bsize)))
	}
}

// server checks the connection to the server, the login and the API, as far as each
// step works.
func (d *doctor) server(t target) {
	host := t.server.Hostname()
	ctx, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	if p, err := http.ProxyFromEnvironment(&http.Request{URL: t.server}); err == nil && p != nil {
		d.say(findingOK, "proxy", "%s", p.Host)
	} else if addrs, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
		d.fail(exitUnreachable, "name", "%s is not known: %v; check the URL, and whether a VPN is needed", host, withoutName(err))
		return
	} else {
		d.say(findingOK, "name", "%s is %s", host, strings.Join(addrs, ", "))
	}
	if !d.transport(ctx, t) {
		return
	}
	d.kerberos(t)
	c, err := d.o.connect(ctx, d.cmd, t, slog.New(slog.DiscardHandler))
	if err != nil {
		d.fail(exitCode(err), "login", "%v", err)
		return
	}
	defer c.Close()
	d.say(findingOK, "login", "%s, from %s", c.login.what(), c.login.source)
	d.api(ctx, c)
}

// kerberos tells which ticket is used, if one is. What is wrong with it, the login says.
func (d *doctor) kerberos(t target) {
	w, err := d.o.way(d.cmd, t, client.Secret(os.Getenv(envPassword)))
	if err != nil || w.name != "--kerberos" && w.name != "--keytab" {
		return
	}
	if tickets, err := d.o.tickets(d.o.username, t.server); err == nil {
		d.say(findingOK, "Kerberos", "%s", tickets.Describe())
	}
}

// withoutName returns a resolver's error without the name, which is shown anyway.
func withoutName(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.Err
	}
	return err.Error()
}

// transport checks TLS and the clocks.
func (d *doctor) transport(ctx context.Context, t target) bool {
	hc, err := client.NewHTTPClient(d.o.clientConfig(t.server, credentials{}, nil))
	if err != nil {
		d.fail(exitUsage, "TLS", "%v", err)
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.server.String(), nil)
	if err != nil {
		d.fail(exitUsage, "URL", "%v", err)
		return false
	}
	start := time.Now()
	resp, err := hc.Do(req)
	if err != nil {
		text, ok := client.TLSSentence(host(t), err)
		if !ok {
			text = fmt.Sprintf("cannot reach %s: %v; check the URL, the network and the firewall", t.server, errors.Unwrap(err))
		}
		d.fail(exitUnreachable, "connection", "%s", text)
		return false
	}
	took := time.Since(start)
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	d.say(findingOK, "connection", "answers after %v", took.Round(time.Millisecond))
	switch {
	case resp.TLS == nil && isLoopback(t.server.Hostname()):
		d.say(findingOK, "TLS", "none, and none is needed: the server is this machine")
	case resp.TLS == nil:
		d.say(findingWarn, "TLS", "none: whoever sees the network sees the password")
	default:
		end := resp.TLS.PeerCertificates[0].NotAfter
		how, text := findingOK, fmt.Sprintf("%s, the certificate ends on %s", tls.VersionName(resp.TLS.Version), end.Format(time.DateOnly))
		if time.Until(end) < certificateSoon {
			how = findingWarn
		}
		d.say(how, "TLS", "%s", text)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if skew := time.Since(date); skew.Abs() > maxSkew {
			d.say(findingWarn, "clock", "this clock and the server's differ by %s; set this one (timedatectl set-ntp true), or tell the server's administrator", timeText(skew.Abs()))
		} else {
			d.say(findingOK, "clock", "as the server's")
		}
	}
	return true
}

func host(t target) string { return t.server.Hostname() }

// api checks whether there are downloads, and whether the server sends parts of
// content.
func (d *doctor) api(ctx context.Context, c *connection) {
	_, err := c.Get(ctx, download.ID(uuid.NewString()))
	if !errors.Is(err, download.ErrNotFound) {
		d.fail(exitOther, "Downloads API", "the server does not answer about downloads: %v; it must be Alfresco 5.2 or newer", err)
		return
	}
	d.say(findingOK, "Downloads API", "is there")
	file, err := someFile(ctx, c)
	if err != nil || file.ID == "" {
		d.say(findingOK, "ranges", "not tried: no file was found near the root of the repository")
		return
	}
	r, err := c.Stream(ctx, download.ArchiveInfo{ID: download.ID(file.ID), Name: file.Name, Size: file.Size}, 1, 2)
	if err == nil {
		_, err = io.ReadAll(r)
		_ = r.Close()
	}
	if err != nil {
		d.say(findingWarn, "ranges", "the server ignores ranges (%v); each read starts at the beginning of the archive", err)
		return
	}
	d.say(findingOK, "ranges", "the server sends ranges of files")
}

// someFile looks for a file of two bytes or more, not far from the root.
func someFile(ctx context.Context, c *connection) (download.Node, error) {
	root, err := c.Resolve(ctx, "/")
	if err != nil {
		return download.Node{}, err
	}
	folders := []download.NodeID{root}
	for range 12 {
		if len(folders) == 0 {
			break
		}
		page, _, err := c.Children(ctx, folders[0], 0)
		if err != nil {
			return download.Node{}, err
		}
		folders = folders[1:]
		for _, n := range page {
			switch {
			case n.Folder:
				folders = append(folders, n.ID)
			case n.Size >= 2:
				return n, nil
			}
		}
	}
	return download.Node{}, nil
}
