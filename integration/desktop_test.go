package integration

import (
	"image"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// envDesktop makes the tests of the desktop use every program that scripts/setup
// desktop installs, and hold them to the times that are promised.
const envDesktop = "DOWNLOADFS_TEST_DESKTOP"

var fullDesktop = os.Getenv(envDesktop) != ""

// shownWithin is how soon a file manager shows what is new. Where other tests run at
// the same time, it may take longer.
var shownWithin = map[bool]time.Duration{true: 2 * time.Second, false: 20 * time.Second}[fullDesktop]

// fileManager is how a person uses a file manager.
type fileManager struct {
	name   string
	window []string // the command that opens a window, before its directory
	always bool     // make test uses it too
	// remove are the keys that remove what is selected, and confirm those that answer
	// the question that follows.
	remove, confirm []string
	// question is the title of the window that asks whether to replace a file, and
	// replace are the keys that say yes.
	question string
	replace  []string
}

var allFileManagers = []fileManager{
	{"thunar", []string{"thunar"}, true, []string{"shift+Delete"}, []string{"Return"}, "Confirm to replace", []string{"alt+r"}},
	{"pcmanfm", []string{"pcmanfm", "--new-win"}, true, []string{"shift+Delete"}, []string{"Return"}, "^Confirm", []string{"alt+o"}},
	{"nautilus", []string{"nautilus", "--new-window"}, false, []string{"shift+Delete"}, []string{"Return"}, "Conflict", []string{"alt+r"}},
	{"nemo", []string{"nemo"}, false, []string{"shift+Delete"}, []string{"Return"}, "Conflict", []string{"alt+r"}},
	{"dolphin", []string{"dolphin", "--new-window"}, false, []string{"shift+Delete"}, []string{"Return"}, "Exists", []string{"alt+o"}},
}

// withFileManagers runs a test with each file manager.
func withFileManagers(t *testing.T, test func(t *testing.T, fm fileManager)) {
	t.Helper()
	for _, fm := range allFileManagers {
		if fm.always || fullDesktop {
			t.Run(fm.name, func(t *testing.T) {
				t.Parallel()
				test(t, fm)
			})
		}
	}
}

// desk is a desktop, and a mount of its user whose downloads are pending until they
// are finished.
type desk struct {
	*harness.Desktop
	*faultRig
	pending *faults.Injected
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	u := harness.Ordinary(t)
	d := &desk{Desktop: harness.StartDesktop(t, u), faultRig: newFaultRig(t, harness.StartServer(t, harness.Samples(t)))}
	d.pending = d.http.Inject(faults.Rule{On: faults.Get, Fault: faults.Word("IN_PROGRESS")})
	o := d.options()
	o.User = u
	d.mount = harness.StartMount(t, d.server, o)
	return d
}

// finish lets the server say that the downloads are done.
func (d *desk) finish() { d.pending.Remove() }

// nothingHangs fails the test if a program is blocked although it only looks.
func (d *desk) nothingHangs(t *testing.T, while string) {
	t.Helper()
	assert.Empty(t, d.Hangs(), "hangs while %s", while)
}

// The places of two windows beside each other, and of one window.
var (
	onTheLeft  = image.Rect(4, 28, 544, 720)
	onTheRight = image.Rect(554, 28, 1094, 720)
	wide       = image.Rect(4, 28, 1094, 720)
)

// view is a window of a file manager.
type view struct {
	*desk
	id string
	at image.Rectangle
}

// open opens a window on a directory.
func (d *desk) open(t *testing.T, fm fileManager, dir string, at image.Rectangle) view {
	t.Helper()
	d.Start(fm.window[0], append(slices.Clone(fm.window[1:]), dir)...)
	v := view{d, d.AwaitWindow("^" + filepath.Base(dir) + `\b`), at}
	d.Place(v.id, at)
	d.AwaitStill()
	return v
}

// files is where a view shows the files, without its bars.
func (v view) files() image.Rectangle {
	return image.Rect(v.at.Min.X+180, v.at.Min.Y+100, v.at.Max.X-16, v.at.Max.Y-45)
}

// shows returns what a view shows.
func (v view) shows() *image.RGBA { return v.Screen().SubImage(v.files()).(*image.RGBA) }

// awaitChange waits until a view, which showed before, shows something else by itself.
// Then it must be all there is: refreshing changes nothing.
func (v view) awaitChange(t *testing.T, before *image.RGBA, what string) {
	t.Helper()
	start := time.Now()
	v.awaitSomething(t, before, what)
	time.Sleep(time.Until(start.Add(shownWithin))) // a view may change in steps
	if !fullDesktop {
		v.AwaitStill() // the machine is busy with other tests
	}
	after := v.shows()
	assert.True(t, harness.Changed(after, v.refreshed()).Empty(), "%s is shown as a whole only after F5", what)
}

// awaitSomething waits until a view, which showed before, shows something else by
// itself.
func (v view) awaitSomething(t *testing.T, before *image.RGBA, what string) {
	t.Helper()
	start := time.Now()
	harness.Eventually(t, shownWithin, func() bool { return !harness.Changed(before, v.shows()).Empty() }, "%s is not shown", what)
	t.Logf("%s is shown after %v", what, time.Since(start).Round(10*time.Millisecond))
	v.AwaitStill()
}

// refreshed returns what a view shows after F5.
func (v view) refreshed() *image.RGBA {
	v.Focus(v.id)
	v.Press("F5")
	v.AwaitStill()
	return v.shows()
}

// find returns where a view shows its only file, or the one that has just been
// selected, from what selecting it changes.
func (v view) find(t *testing.T, selectIt func()) image.Point {
	t.Helper()
	before := v.shows()
	selectIt()
	v.AwaitStill()
	r := harness.Changed(before, v.shows())
	require.False(t, r.Empty(), "nothing was selected")
	return r.Min.Add(r.Max).Div(2)
}

// empty is a place in a view where there is no file.
func (v view) empty() image.Point {
	r := v.files()
	return image.Pt(r.Max.X-40, r.Max.Y-40)
}

// focus gives a window the keyboard, and its files the focus.
func (v view) focus() { v.Focus(v.id); v.Click(v.empty(), 1, 1); v.AwaitStill() }

// choose selects a file by its name, which is typed.
func (v view) choose(name string) {
	v.Type(name)
	v.AwaitStill()
	v.Press("Escape")
	v.AwaitStill()
}

func (v view) close() { v.CloseWindow(v.id) }

// step runs a part of a test. If it fails, a screenshot is kept.
func (d *desk) step(t *testing.T, name string, part func(t *testing.T)) {
	t.Helper()
	ok := t.Run(name, func(t *testing.T) {
		defer func() {
			if t.Failed() {
				d.Keep(name)
			}
		}()
		part(t)
	})
	if !ok {
		t.FailNow() // what comes after it needs it
	}
}
