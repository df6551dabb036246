package integration

import (
	"image"
	"os"
	"path/filepath"
	"regexp"
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

// goneWithin is how soon a file manager no longer shows a file that has become a
// download.
const goneWithin = 3 * time.Second

// fileManager is how a person uses a file manager.
type fileManager struct {
	name   string
	window []string // the command that opens a window, before its directory
	always bool     // make test uses it too
	places int      // how wide the list of places is in a narrow window
	// before and after are the keys to press when a name is typed to select a file.
	before, after []string
	// remove are the keys that remove what is selected, and confirm those that answer
	// the question that follows.
	remove, confirm []string
	trash           bool // what is removed goes to a trash
	// question is the title of the window that asks whether to replace a file, and
	// replace are the keys that say yes.
	question string
	replace  []string
	// drop and link are the keys that answer what to do with a file and with a link of a
	// browser.
	drop, link []string
	// links says what it makes of a link of a browser.
	links linkKind
	// archives is the desktop entry of the program for archives that belongs to it.
	archives string
}

// linkKind is what a file manager makes of a link that is dragged to it.
type linkKind int

const (
	linksRefused linkKind = iota
	linksTitled           // a file that is called after the text of the link
	linksAsked            // the same, but it asks for the name first
	linksPlain            // a file that is called after the address
)

var allFileManagers = []fileManager{
	{
		name: "thunar", window: []string{"thunar"}, always: true, places: 180,
		after: []string{"Escape"}, remove: []string{"Delete"}, confirm: []string{"Return"},
		question: "Confirm to replace", replace: []string{"alt+r"},
		links: linksAsked, archives: "engrampa",
	}, {
		name: "pcmanfm", window: []string{"pcmanfm", "--new-win"}, always: true, places: 180,
		after: []string{"Escape"}, remove: []string{"Delete"}, confirm: []string{"Return", "Return"},
		question: "^Confirm", replace: []string{"alt+o"},
		archives: "engrampa",
	}, {
		name: "nautilus", window: []string{"nautilus", "--new-window"}, always: true, places: 10,
		before: []string{"ctrl+s"}, after: []string{"Return"}, remove: []string{"Delete"}, confirm: []string{"Return"},
		question: "conflict", replace: []string{"alt+p"},
		links: linksPlain, archives: "org.gnome.FileRoller",
	}, {
		name: "nemo", window: []string{"nemo"}, places: 180, // where there is no trash, Delete does nothing
		after: []string{"Escape"}, remove: []string{"shift+Delete"}, confirm: []string{"Return"},
		question: "conflict", replace: []string{"Return"},
		links: linksTitled, archives: "org.gnome.FileRoller",
	}, {
		name: "dolphin", window: []string{"dolphin", "--new-window"}, places: 270,
		remove: []string{"Delete"}, trash: true,
		question: "Exists", replace: []string{"alt+o"},
		drop: []string{"c"}, link: []string{"l"}, links: linksPlain, archives: "org.kde.ark",
	},
}

// withFileManagers runs a test with each file manager. Call t.Parallel before it, or no other
// test runs meanwhile.
func withFileManagers(t *testing.T, test func(t *testing.T, fm fileManager)) {
	t.Helper()
	for i, fm := range allFileManagers {
		if (fm.always || fullDesktop) && harness.InShare(t, i, fm.name) {
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
	fm fileManager
	id string
	at image.Rectangle
}

// open opens a window on a directory.
func (d *desk) open(t *testing.T, fm fileManager, dir string, at image.Rectangle) view {
	t.Helper()
	d.Start(fm.window[0], append(slices.Clone(fm.window[1:]), dir)...)
	v := view{d, fm, d.AwaitWindow("^" + regexp.QuoteMeta(filepath.Base(dir)) + `\b`), at}
	d.Place(v.id, at)
	harness.Eventually(t, harness.Timeout, func() bool { return !drawn(v.shows()).Empty() }, "%s shows no files", fm.name)
	d.AwaitStill()
	v.focus()
	return v
}

// drawn returns the smallest rectangle with all that is in a picture, but for the colour
// of its first pixel.
func drawn(picture *image.RGBA) image.Rectangle {
	var found image.Rectangle
	r := picture.Rect
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if picture.RGBAAt(x, y) != picture.RGBAAt(r.Min.X, r.Min.Y) {
				found = found.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return found
}

// files is where a view shows the files, without its bars.
func (v view) files() image.Rectangle {
	return image.Rect(v.at.Min.X+v.fm.places, v.at.Min.Y+60, v.at.Max.X-16, v.at.Max.Y-85)
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
	v.assertTrue(t, what)
}

// awaitTruth waits until a view must show all there is. Where other tests run at the same
// time, that may take longer than a test may, so the view is refreshed.
func (v view) awaitTruth(t *testing.T, what string) {
	t.Helper()
	if !fullDesktop {
		v.refreshed()
		return
	}
	time.Sleep(goneWithin)
	v.assertTrue(t, what)
}

// assertTrue asserts that a view shows all there is.
func (v view) assertTrue(t *testing.T, what string) {
	t.Helper()
	v.focus() // what was selected by itself is not selected after F5
	before := v.shows()
	if r := harness.Differs(before, v.refreshed()); !assert.True(t, r.Empty(), "%s is shown as a whole only after F5; there it changes %v", what, r) {
		v.KeepPicture("before F5", before)
		v.Keep("after F5")
	}
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
	v.focus()
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

// keys presses keys as slowly as a person.
func (v view) keys(keys ...string) {
	for _, key := range keys {
		v.Press(key)
		time.Sleep(300 * time.Millisecond) // what can be done with a selection is found out behind the scenes
		v.AwaitStill()
	}
}

// choose selects a file by its name, which is typed.
func (v view) choose(name string) {
	v.keys(v.fm.before...)
	v.Type(name)
	v.AwaitStill()
	v.keys(v.fm.after...)
}

// place returns where a view shows a file, and selects it.
func (v view) place(t *testing.T, name string) image.Point {
	t.Helper()
	v.choose(name)
	return v.find(t, func() { v.keys("ctrl+space") })
}

// drop drags something from another place to a view, and presses the keys that answer
// what to do with it.
func (v view) drop(t *testing.T, from image.Point, answer []string) {
	t.Helper()
	at := v.empty()
	menu := image.Rectangle{at, at.Add(image.Pt(20, 20))}
	before := v.Screen()
	v.Drag(from, at)
	if len(answer) > 0 {
		harness.Eventually(t, harness.Timeout, func() bool { return !harness.Changed(before, v.Screen()).Intersect(menu).Empty() }, "there is no menu")
		v.AwaitStill()
		v.Press(answer...)
	}
}

func (v view) close() { v.CloseWindow(v.id) }

// step runs a part of a test. If it fails, a screenshot is kept.
func (d *desk) step(t *testing.T, name string, part func(t *testing.T)) {
	t.Helper()
	ok := t.Run(name, func(t *testing.T) {
		ended := false
		defer func() {
			if !ended || t.Failed() {
				d.Keep(name)
			}
		}()
		part(t)
		ended = true
	})
	if !ok {
		t.FailNow() // what comes after it needs it
	}
}
