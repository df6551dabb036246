package integration

import (
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/faults"
	"downloadfs/integration/harness"
)

// lookingLong is longer than a listing counts.
const lookingLong = 2300 * time.Millisecond

// TestFileManagers is a person's way through a mount in a file manager, by keyboard
// and mouse: look, ask by pasting and by dropping a list, see what is new, remove, copy an
// archive out and open it. Nothing ever hangs while it only looks, though it looks again
// at what it listed long ago.
// Proves S-190, S-204, S-218.
func TestFileManagers(t *testing.T) {
	t.Parallel()
	withFileManagers(t, func(t *testing.T, fm fileManager) {
		d := newDesk(t)
		d.Config(map[string]string{
			"pasted/q3.txt":     "/Sites/press/documentLibrary/report.txt\n",
			"pasted/Report.url": "[InternetShortcut]\r\nURL=" + d.page(t, "report.txt") + "\r\n",
			"dropped/q4.txt":    d.page(t, "photos") + "\n",
			"replace/new":       "/Sites/press/documentLibrary/report.txt\n",
			"out/there.txt":     "was here\n",

			".config/mimeapps.list": "[Default Applications]\napplication/zip=" + fm.archives + ".desktop\n",
		})
		const first = "first"
		d.ask(t, first)

		v := d.open(t, fm, filepath.Join(d.mount.Downloads, first), wide)
		d.step(t, "look", func(t *testing.T) {
			for _, look := range []struct {
				name string
				keys []string
			}{
				{"opening", nil},
				{"refreshing", []string{"F5"}},
				{"going up", []string{"alt+Up"}},
				{"coming back", []string{"alt+Left"}},
				{"selecting all", []string{"ctrl+a"}},
				{"showing properties", []string{"alt+Return"}},
			} {
				if look.keys != nil {
					v.Press(look.keys...)
				}
				time.Sleep(lookingLong)
				d.nothingHangs(t, look.name)
			}
			for id := range d.Windows() {
				if id != v.id {
					d.CloseWindow(id) // the properties
				}
			}
		})
		// Some file managers end when their last window is closed.
		downloads := d.open(t, fm, d.mount.Downloads, onTheRight)
		v.close()
		d.step(t, "show", func(t *testing.T) {
			downloads.focus()
			before := downloads.shows()
			d.ask(t, "another")
			downloads.awaitChange(t, before, "a new download")
			before = downloads.shows()
			d.mount.Sh(t, "rmdir another").OK(t)
			downloads.awaitSomething(t, before, "that a download is gone")
		})
		d.step(t, "paste", func(t *testing.T) {
			from := d.open(t, fm, filepath.Join(d.Home, "pasted"), onTheLeft)
			from.keys("ctrl+a", "ctrl+c")
			downloads.focus()
			downloads.keys("ctrl+v")
			d.awaitDownloads(t, first, "q3", "Report")
			d.nothingHangs(t, "a list and a link are pasted")
			from.close()
			downloads.awaitTruth(t, "what became of a list and a link")
		})
		d.step(t, "drop", func(t *testing.T) {
			from := d.open(t, fm, filepath.Join(d.Home, "dropped"), onTheLeft)
			downloads.drop(t, from.find(t, func() { from.keys("ctrl+a") }), fm.drop)
			d.awaitDownloads(t, first, "q3", "Report", "q4")
			d.nothingHangs(t, "a list is dropped")
			from.close()
			downloads.awaitTruth(t, "what became of a list")
		})
		d.step(t, "replace new", func(t *testing.T) {
			from := d.open(t, fm, filepath.Join(d.Home, "replace"), onTheLeft)
			from.keys("ctrl+a", "ctrl+c")
			downloads.focus()
			downloads.Press("ctrl+v")
			d.Answer(d.AwaitWindow(fm.question), fm.replace...)
			harness.Eventually(t, harness.Timeout, func() bool { return len(d.mount.List(t)) == 5 }, "it asks for nothing")
			another := d.mount.Sh(t, "cat new").Out(t)
			d.awaitDownloads(t, first, "q3", "Report", "q4", another)
			d.nothingHangs(t, "new is replaced")
			from.close()
			downloads.awaitTruth(t, "a download, or new,")
			d.mount.Sh(t, "rmdir "+another).OK(t)
		})
		d.step(t, "remove", func(t *testing.T) {
			id := d.mount.Status(t, "q4", "id")
			downloads.focus()
			downloads.choose("q4")
			downloads.keys(fm.remove...)
			downloads.keys(fm.confirm...)
			d.awaitDownloads(t, first, "q3", "Report")
			harness.Eventually(t, harness.Timeout, func() bool {
				return slices.ContainsFunc(d.http.Requests(faults.Cancel), func(q faults.Record) bool { return strings.HasSuffix(q.Path, "/"+id) })
			}, "it is not cancelled on the server")
			d.nothingHangs(t, "a download is removed")
			archives, err := filepath.Glob(d.Home + "/.local/share/Trash/files/*/*.zip")
			require.NoError(t, err)
			assert.Empty(t, archives, "it is in the trash")
			_, err = os.Stat(d.Home + "/.local/share/Trash/files/q4/nodes")
			assert.Equal(t, fm.trash, err == nil, "its request list in the trash")
		})
		entry := d.open(t, fm, filepath.Join(d.mount.Downloads, "q3"), onTheRight)
		downloads.close()
		d.step(t, "be ready", func(t *testing.T) {
			before := entry.shows()
			d.finish()
			d.mount.AwaitStatus(t, harness.Timeout, "q3", "status", "DONE")
			entry.awaitSomething(t, before, "that the archive is ready")
			// In place of archive.zip it shows the server's name for it.
			entry.awaitTruth(t, "the server's name")
		})
		d.step(t, "copy out", func(t *testing.T) {
			out := d.open(t, fm, filepath.Join(d.Home, "out"), onTheLeft)
			entry.focus()
			entry.choose("report.txt.zip")
			entry.keys("ctrl+c")
			out.focus()
			out.keys("ctrl+v")
			d.awaitCopy(t, "q3", filepath.Join(d.Home, "out/report.txt.zip"))
			d.nothingHangs(t, "an archive was copied")
			out.close()
		})
		d.step(t, "open", func(t *testing.T) {
			harness.Eventually(t, harness.Timeout, func() bool {
				entry.focus()
				d.Click(entry.place(t, "report.txt.zip"), 1, 2)
				return d.Appears(`^report\.txt\.zip`, 10*time.Second)
			}, "the archive is not opened")
			archive := d.AwaitWindow(`^report\.txt\.zip`)
			d.nothingHangs(t, "an archive is opened")
			d.CloseWindow(archive)
		})
		entry.close()
	})
}

// envPicture names the file for the picture of README. See scripts/picture.
const envPicture = "DOWNLOADFS_PICTURE"

// TestFileManagerPicture makes the picture of README.
func TestFileManagerPicture(t *testing.T) {
	path := os.Getenv(envPicture)
	if path == "" {
		t.Skip("makes a picture if " + envPicture + " names a file")
	}
	u := harness.Ordinary(t)
	d := &desk{Desktop: harness.StartDesktop(t, u), faultRig: newFaultRig(t, harness.StartServer(t, harness.Samples(t)))}
	o := d.options()
	o.User, o.Path = u, filepath.Join(d.Home, "alfresco")
	d.Config(map[string]string{"alfresco/": ""})
	d.mount = harness.StartMount(t, d.server, o)
	d.mount.Sh(t, "ln -s /Sites/press/documentLibrary/photos 'Press photos' && ln -s /Sites/press/documentLibrary/report.txt 'Q3 report'").OK(t)
	d.mount.AwaitStatus(t, harness.Timeout, "Press photos", "status", "DONE")
	at := image.Rect(0, 0, 450, 330)
	thunar := allFileManagers[0]
	left := d.open(t, thunar, d.mount.Downloads, at.Add(image.Pt(4, 28)))
	right := d.open(t, thunar, filepath.Join(d.mount.Downloads, "Press photos"), at.Add(image.Pt(464, 28)))
	for _, v := range []view{left, right} {
		v.Focus(v.id)
		v.Press("ctrl+b") // hides the places
		v.focus()
	}
	d.AwaitStill()
	require.NoError(t, harness.WritePNG(path, d.Screen().SubImage(image.Rect(0, 22, 922, 390))))
	left.close()
	right.close()
}

// ask asks for a download with a short name: a long one changes how wide columns are.
func (d *desk) ask(t *testing.T, name string) {
	t.Helper()
	d.mount.Sh(t, "ln -s /Sites/press/documentLibrary/report.txt "+name+" && ls "+name).OK(t)
}

// page returns the address of a document's page in Share.
func (d *desk) page(t *testing.T, name string) string {
	t.Helper()
	return d.server.URL + "/share/page/document-details?nodeRef=workspace://SpacesStore/" + d.server.NodeID(t, "Sites/press/documentLibrary/"+name)
}

// awaitDownloads waits until there are these downloads and no others.
func (d *desk) awaitDownloads(t *testing.T, names ...string) {
	t.Helper()
	harness.Eventually(t, harness.Timeout, func() bool {
		have := d.mount.List(t)
		for _, name := range names {
			if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+name+" ") {
				return false
			}
		}
		return len(have) == len(names)
	}, "the downloads are not %v", names)
	// What a program does after its list was taken must not ask again.
	d.AwaitStill()
	assert.Len(t, d.mount.List(t), len(names))
}

// awaitCopy waits until an archive was copied to a file. Its owner can write to it.
func (d *desk) awaitCopy(t *testing.T, name, path string) {
	t.Helper()
	whole := fetch(t, d.server, d.mount.Status(t, name, "id"))
	harness.Eventually(t, harness.Timeout, func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() == int64(len(whole.bytes))
	}, "%s is not copied", path)
	d.AwaitStill()
	whole.assertCopy(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&0o200, "its owner cannot write to the copy: %v", info.Mode())
}
