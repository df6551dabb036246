package harness

import (
	"bytes"
	wire "encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// EnvScreenshots names the directory for the screenshots of tests that fail.
// Otherwise it is a directory of the system's temporary one.
const EnvScreenshots = "DOWNLOADFS_SCREENSHOTS"

// Desktop is a screen that nobody sees, with a session bus and a window manager, of an
// ordinary user: programs with windows run in it as they do for a person, who presses
// keys and drags. Everything that was started in it ends with the test. When the test
// fails, its last picture is kept.
type Desktop struct {
	t       testing.TB
	Home    string // the user's
	User    User
	env     []string
	display string
	shots   int
}

// The size of a Desktop's screen in pixels.
const desktopWidth, desktopHeight = 1100, 760

// StartDesktop starts a desktop.
func StartDesktop(t testing.TB, u User) *Desktop {
	t.Helper()
	d := &Desktop{t: t, User: u, Home: Dir(t, u)}
	for _, name := range []string{"run", "screen"} {
		u.mkdir(t, filepath.Join(d.Home, name))
	}
	// Before Dir's cleanup, since the programs write there.
	t.Cleanup(d.end)
	d.Config(map[string]string{
		// Nothing remembers what earlier tests did, and nothing is drawn in steps.
		".config/gtk-3.0/settings.ini": "[Settings]\ngtk-enable-animations=0\ngtk-cursor-blink=0\ngtk-recent-files-enabled=0\n",
		".config/gtk-4.0/settings.ini": "[Settings]\ngtk-enable-animations=0\ngtk-cursor-blink=0\n",
	})
	// -fbdir keeps the picture in a file that is mapped into memory.
	d.start("sh", "-c", `exec Xvfb -displayfd 3 -nolisten tcp -noreset -fbdir screen -screen 0 `+
		strconv.Itoa(desktopWidth)+"x"+strconv.Itoa(desktopHeight)+`x24 3>run/display`)
	d.start("dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=unix:path="+d.Home+"/run/bus")
	Eventually(t, Timeout, func() bool {
		display, _ := os.ReadFile(filepath.Join(d.Home, "run/display"))
		d.display = strings.TrimSpace(string(display))
		_, err := os.Stat(filepath.Join(d.Home, "run/bus"))
		return d.display != "" && err == nil
	}, "no screen or no session bus")
	d.env = append(d.environment(), "DISPLAY=:"+d.display)
	d.start("openbox", "--sm-disable")
	d.window("", func() bool {
		return Cmd{Env: d.env, Name: "xdotool", Args: []string{"get_num_desktops"}}.Run(t).Code == 0
	})
	t.Cleanup(func() { // before anything ends
		if t.Failed() {
			d.Keep("failed")
		}
	})
	return d
}

// environment is that of every program but for the screen.
func (d *Desktop) environment() []string {
	return []string{"HOME=" + d.Home, "XDG_RUNTIME_DIR=" + d.Home + "/run", "DBUS_SESSION_BUS_ADDRESS=unix:path=" + d.Home + "/run/bus",
		"XDG_CONFIG_HOME=" + d.Home + "/.config", "XDG_DATA_HOME=" + d.Home + "/.local/share", "XDG_CACHE_HOME=" + d.Home + "/.cache",
		"GIO_USE_VFS=local", "GIO_USE_VOLUME_MONITOR=unix", "GSETTINGS_BACKEND=memory", "NO_AT_BRIDGE=1", "GTK_A11Y=none",
		"GDK_BACKEND=x11", "GSK_RENDERER=cairo", "LIBGL_ALWAYS_SOFTWARE=1", "QT_QPA_PLATFORM=xcb", "QT_ACCESSIBILITY=0"}
}

// Config writes files below Home.
func (d *Desktop) Config(files map[string]string) {
	d.t.Helper()
	Tree(d.t, d.Home, files)
	require.NoError(d.t, filepath.WalkDir(d.Home, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			d.User.own(d.t, path)
		}
		return err
	}))
}

// Start starts a program.
func (d *Desktop) Start(name string, args ...string) *Process {
	d.t.Helper()
	return d.start(name, args...)
}

func (d *Desktop) start(name string, args ...string) *Process {
	d.t.Helper()
	env := d.env
	if env == nil {
		env = d.environment()
	}
	return Cmd{User: d.User, Dir: d.Home, Name: name, Args: args, Env: env, Timeout: 10 * Timeout}.Start(d.t)
}

// end ends what still runs, and waits until it has ended. The bus starts programs for
// others, which may leave its process group; all have this desktop in their
// environment.
func (d *Desktop) end() {
	Eventually(d.t, Timeout, func() bool {
		left := d.Processes()
		for pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				d.t.Errorf("kill %d: %v", pid, err)
			}
		}
		return len(left) == 0
	}, "programs of the desktop do not end")
}

// Processes returns the processes of the desktop with their names.
func (d *Desktop) Processes() map[int]string {
	found := make(map[int]string)
	mark := []byte("XDG_RUNTIME_DIR=" + d.Home + "/run")
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, mark) }) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		comm, _ := os.ReadFile(dir + "/comm")
		found[pid] = strings.TrimSpace(string(comm))
	}
	return found
}

// Hangs returns what blocks a program of the desktop. It is as [Process.Hangs], for
// all of them.
func (d *Desktop) Hangs() string {
	mine := d.Processes()
	return hangs(func(pid, _ int) bool { return mine[pid] != "" }, blocksAttr)
}

// Waits reports whether a thread of any program of the desktop waits for a mount.
func (d *Desktop) Waits() bool {
	mine := d.Processes()
	return len(tasksInFUSE(func(pid, _ int) bool { return mine[pid] != "" })) > 0
}

// Press presses keys, one after the other, such as "ctrl+a". The window that has the
// focus gets them.
func (d *Desktop) Press(keys ...string) {
	d.t.Helper()
	if len(keys) == 0 {
		return
	}
	d.xdotool(append([]string{"key", "--clearmodifiers", "--delay", "40"}, keys...)...)
}

// Type types a text.
func (d *Desktop) Type(text string) {
	d.t.Helper()
	d.xdotool("type", "--clearmodifiers", "--delay", "15", text)
}

// Click presses and lets go of a button of the mouse, times times.
func (d *Desktop) Click(at image.Point, button, times int) {
	d.t.Helper()
	d.xdotool("mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y), "click", "--repeat", strconv.Itoa(times), "--delay", "60", strconv.Itoa(button))
}

// Drag drags what is at one place to another one, as slowly as a person.
func (d *Desktop) Drag(from, to image.Point) {
	d.t.Helper()
	args := []string{"mousemove", strconv.Itoa(from.X), strconv.Itoa(from.Y), "sleep", "0.1", "mousedown", "1", "sleep", "0.2"}
	const steps = 12
	for i := 1; i <= steps; i++ {
		at := from.Add(to.Sub(from).Mul(i).Div(steps))
		args = append(args, "mousemove", strconv.Itoa(at.X), strconv.Itoa(at.Y), "sleep", "0.06")
	}
	d.xdotool(append(args, "sleep", "0.5", "mouseup", "1")...)
}

func (d *Desktop) xdotool(args ...string) Result {
	d.t.Helper()
	return Cmd{Env: d.env, Name: "xdotool", Args: args}.Run(d.t).OK(d.t)
}

// Windows returns the titles of the windows that can be seen, by their ids.
func (d *Desktop) Windows() map[string]string {
	d.t.Helper()
	found := make(map[string]string)
	r := Cmd{Env: d.env, Name: "xdotool", Args: []string{"search", "--onlyvisible", "--name", ".+"}}.Run(d.t)
	for id := range strings.FieldsSeq(r.Stdout) {
		title := Cmd{Env: d.env, Name: "xdotool", Args: []string{"getwindowname", id}}.Run(d.t)
		// A window may be gone by now. Openbox's own have names too.
		if text := strings.TrimSpace(title.Stdout); title.Code == 0 && text != "" && text != "Openbox" {
			found[id] = text
		}
	}
	return found
}

// AwaitWindow waits for a window whose title matches a regular expression, gives it
// the focus, and returns its id.
func (d *Desktop) AwaitWindow(title string) string {
	d.t.Helper()
	re, id := regexp.MustCompile(title), ""
	d.window("no window is called "+title, func() bool {
		id = d.titled(re)
		return id != "" && d.activate(id)
	})
	return id
}

// Appears reports whether there is a window whose title matches a regular expression, or
// comes within a time, which it scales.
func (d *Desktop) Appears(title string, within time.Duration) bool {
	d.t.Helper()
	re := regexp.MustCompile(title)
	for end := time.Now().Add(Scaled(within)); d.titled(re) == ""; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// titled returns the id of a window whose title matches, or "".
func (d *Desktop) titled(re *regexp.Regexp) (id string) {
	d.t.Helper()
	for w, text := range d.Windows() {
		if re.MatchString(text) {
			id = w
		}
	}
	return id
}

// Place moves a window and gives it a size, without its frame.
func (d *Desktop) Place(window string, r image.Rectangle) {
	d.t.Helper()
	d.xdotool("windowsize", "--sync", window, strconv.Itoa(r.Dx()), strconv.Itoa(r.Dy()))
	d.xdotool("windowmove", window, strconv.Itoa(r.Min.X), strconv.Itoa(r.Min.Y))
}

// Focus gives a window the focus.
func (d *Desktop) Focus(window string) {
	d.t.Helper()
	d.window("a window cannot have the focus", func() bool { return d.activate(window) })
}

// activate gives a window the focus, if it is there. xdotool fails if the window that
// has the focus goes away in this moment.
func (d *Desktop) activate(window string) bool {
	return Cmd{Env: d.env, Name: "xdotool", Args: []string{"windowactivate", "--sync", window}}.Run(d.t).Code == 0
}

// CloseWindow closes a window as its user would.
func (d *Desktop) CloseWindow(window string) {
	d.t.Helper()
	d.Focus(window)
	d.Press("alt+F4")
	d.window("a window does not close", func() bool { return d.Windows()[window] == "" })
}

// Answer presses keys in a window, which closes it.
func (d *Desktop) Answer(window string, keys ...string) {
	d.t.Helper()
	d.window("a window does not close", func() bool {
		// A bar of progress may move all the time.
		const moment = 500 * time.Millisecond
		if d.Windows()[window] != "" && d.activate(window) {
			time.Sleep(moment)
			d.Press(keys...)
			time.Sleep(moment)
		}
		return d.Windows()[window] == ""
	})
}

func (d *Desktop) window(what string, ok func() bool) {
	d.t.Helper()
	Eventually(d.t, Timeout, ok, "%s; there are %v, and the programs %v", what,
		lazy(func() any { return slices.Collect(maps.Values(d.Windows())) }), lazy(func() any { return d.Processes() }))
}

// Screen returns the picture that is on the screen now.
func (d *Desktop) Screen() *image.RGBA {
	d.t.Helper()
	data, err := os.ReadFile(filepath.Join(d.Home, "screen/Xvfb_screen0"))
	require.NoError(d.t, err)
	picture, err := decodeXWD(data)
	require.NoError(d.t, err)
	return picture
}

// stillFor is how long a screen must not change to count as still.
const stillFor = 400 * time.Millisecond

// AwaitStill waits until the screen has not changed for a moment, and returns it.
func (d *Desktop) AwaitStill() *image.RGBA {
	d.t.Helper()
	last, since := d.Screen(), time.Now()
	Eventually(d.t, Timeout, func() bool {
		now := d.Screen()
		if !Changed(last, now).Empty() {
			last, since = now, time.Now()
		}
		return time.Since(since) > stillFor
	}, "the screen does not stop changing")
	return last
}

// Changed returns the smallest rectangle with all pixels in which two pictures of one
// size differ.
func Changed(a, b *image.RGBA) image.Rectangle {
	var changed image.Rectangle
	for y := a.Rect.Min.Y; y < a.Rect.Max.Y; y++ {
		from, to := a.PixOffset(a.Rect.Min.X, y), a.PixOffset(a.Rect.Max.X, y)
		if bytes.Equal(a.Pix[from:to], b.Pix[from:to]) {
			continue
		}
		for x := a.Rect.Min.X; x < a.Rect.Max.X; x++ {
			if a.RGBAAt(x, y) != b.RGBAAt(x, y) {
				changed = changed.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return changed
}

// The pictures that Differs compares are cut into squares of this many pixels a side, which
// may have moved by so many pixels.
const square, moved = 16, 24

// Differs returns the smallest rectangle with all places in which two pictures of one
// size look different. It does not count thin lines, such as the frame around what the
// keyboard acts on, nor what has moved a little, as when a column has another width.
func Differs(a, b *image.RGBA) image.Rectangle {
	var differs image.Rectangle
	r := a.Rect
	for y := r.Min.Y; y+square <= r.Max.Y; y += square {
		for x := r.Min.X; x+square <= r.Max.X; x += square {
			if !seen(a, b, x, y) || !seen(b, a, x, y) {
				differs = differs.Union(image.Rect(x, y, x+square, y+square))
			}
		}
	}
	return differs
}

// seen reports whether a square of a is at the same place in b, or near it.
func seen(a, b *image.RGBA, x, y int) bool {
	if looksLike(a, b, x, y, 0, 0) {
		return true
	}
	for dy := -moved; dy <= moved; dy++ {
		for dx := -moved; dx <= moved; dx++ {
			at := image.Rect(x+dx, y+dy, x+dx+square, y+dy+square)
			if at.In(b.Rect) && looksLike(a, b, x, y, dx, dy) {
				return true
			}
		}
	}
	return false
}

// looksLike compares a square of a with the one of b that is dx and dy away.
func looksLike(a, b *image.RGBA, x, y, dx, dy int) bool {
	const enough = 24 // of 255, on average
	sum := 0
	for i := range square {
		p, q := a.Pix[a.PixOffset(x, y+i):], b.Pix[b.PixOffset(x+dx, y+dy+i):]
		for j := range 4 * square {
			sum += max(int(p[j]), int(q[j])) - min(int(p[j]), int(q[j]))
		}
	}
	return sum < enough*3*square*square
}

// Keep writes the picture on the screen to a file, whose name has the test's and what
// in it, and logs where.
func (d *Desktop) Keep(what string) {
	d.t.Helper()
	d.KeepPicture(what, d.Screen())
}

// KeepPicture is Keep for another picture.
func (d *Desktop) KeepPicture(what string, picture image.Image) {
	d.t.Helper()
	dir := os.Getenv(EnvScreenshots)
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "downloadfs-screenshots")
	}
	d.shots++
	name := regexp.MustCompile(`[^\w.-]+`).ReplaceAllString(d.t.Name()+" "+strconv.Itoa(d.shots)+" "+what, "-")
	path := filepath.Join(dir, name+".png")
	require.NoError(d.t, os.MkdirAll(dir, 0o755))
	require.NoError(d.t, WritePNG(path, picture))
	d.t.Logf("screenshot: %s", path)
}

// WritePNG writes a picture to a file.
func WritePNG(path string, picture image.Image) error {
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, picture); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// decodeXWD decodes a picture in the format of xwd(1), with 24 bits of colour in 32.
func decodeXWD(data []byte) (*image.RGBA, error) {
	// The fields of the header are in XWDFile.h.
	const fields, colour = 25, 12
	if len(data) < 4*fields {
		return nil, errors.New("no picture")
	}
	field := func(i int) int { return int(wire.BigEndian.Uint32(data[4*i:])) }
	header, depth, width, height, bits, line, colours := field(0), field(3), field(4), field(5), field(11), field(12), field(19)
	pixels := header + colours*colour
	if depth != 24 || bits != 32 || len(data) < pixels+line*height {
		return nil, errors.New("a picture of another kind")
	}
	var order wire.ByteOrder = wire.LittleEndian
	if field(7) != 0 {
		order = wire.BigEndian
	}
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		row := data[pixels+y*line:]
		for x := range width {
			p := order.Uint32(row[4*x:]) // red, green and blue, from the top
			wire.BigEndian.PutUint32(picture.Pix[picture.PixOffset(x, y):], p<<8|0xff)
		}
	}
	return picture, nil
}

// lazy is formatted only when it is printed.
type lazy func() any

func (l lazy) String() string { return fmt.Sprint(l()) }
