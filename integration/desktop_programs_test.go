package integration

import (
	"image"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

// TestDesktopEditor: in an editor, what is saved over new and what is saved beside it
// makes one download each.
// Proves S-218.
func TestDesktopEditor(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Config(map[string]string{"list.txt": "/Sites/press/documentLibrary/report.txt\n"})
	saveAs := func(t *testing.T, path string) string {
		d.Start("mousepad", filepath.Join(d.Home, "list.txt"))
		w := d.AwaitWindow("Mousepad")
		d.AwaitStill()
		d.Press("ctrl+shift+s")
		d.AwaitWindow("^Save As")
		d.AwaitStill()
		d.Press("ctrl+a")
		d.Type(path)
		d.Press("Return")
		return w
	}
	d.step(t, "over new", func(t *testing.T) {
		w := saveAs(t, d.mount.Downloads+"/new")
		d.AwaitStill()
		d.Press("alt+r") // replace it
		harness.Eventually(t, harness.Timeout, func() bool { return len(d.mount.List(t)) == 1 }, "it asks for nothing")
		d.awaitDownloads(t, d.mount.Sh(t, "cat new").Out(t))
		d.nothingHangs(t, "it was saved")
		d.CloseWindow(w)
	})
	d.step(t, "beside new", func(t *testing.T) {
		w := saveAs(t, d.mount.Downloads+"/q3.txt")
		d.awaitDownloads(t, d.mount.Sh(t, "ls | grep -v -e new -e q3").Out(t), "q3")
		d.nothingHangs(t, "it was saved")
		d.CloseWindow(w)
	})
}

// TestDesktopArchivePrograms: an archive program that opens a pending archive does not
// freeze. It shows that it reads, and the archive when it is ready.
// Proves S-192.
func TestDesktopArchivePrograms(t *testing.T) {
	t.Parallel()
	programs := []string{"engrampa"}
	if fullDesktop {
		programs = append(programs, "file-roller", "ark")
	}
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			id := submit(t, d.mount, "Sites/press/documentLibrary/report.txt")
			p := d.Start(program, filepath.Join(d.mount.Downloads, id, "archive.zip"))
			d.AwaitWindow("^Archive Manager|Ark")
			harness.Eventually(t, harness.Timeout, d.Waits, "nothing waits for the archive")
			assert.Empty(t, p.Frozen(), "it does not draw its windows")
			d.finish()
			d.AwaitWindow(`archive\.zip`)
			assert.Empty(t, p.Frozen(), "it does not draw its windows")
		})
	}
}

// needsAll skips a test of what only scripts/setup desktop installs.
func needsAll(t *testing.T) {
	t.Helper()
	if !fullDesktop {
		t.Skip("uses large programs if " + envDesktop + " is set, as make test-desktop does")
	}
}

// TestDesktopBrowser: a link that is dragged from a browser into the window of a file
// manager makes one download.
// Proves S-218.
func TestDesktopBrowser(t *testing.T) {
	needsAll(t)
	t.Parallel()
	withFileManagers(t, func(t *testing.T, fm fileManager) {
		if fm.links == linksRefused {
			t.Skip(fm.name + " takes no links of browsers")
		}
		d := newDesk(t)
		const text = "Photos"
		d.Config(map[string]string{
			"page.html": `<title>Links</title><body style="font-size:40px"><a href="` + d.page(t, "photos") + `">` + text + `</a>`,
			// Nothing asks anything, and the window is not as large as the screen.
			"firefox/user.js": `user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.policy.firstRunURL", "");
`,
			"firefox/xulstore.json": `{"chrome://browser/content/browser.xhtml":{"main-window":{"sizemode":"normal","width":"540","height":"690"}}}`,
		})
		downloads := d.open(t, fm, d.mount.Downloads, onTheRight)
		d.Start("firefox-esr", "--profile", filepath.Join(d.Home, "firefox"), "--no-remote", "file://"+filepath.Join(d.Home, "page.html"))
		browser := d.AwaitWindow("^Links . Mozilla Firefox")
		d.Place(browser, onTheLeft)
		page := image.Rect(onTheLeft.Min.X+4, onTheLeft.Min.Y+120, onTheLeft.Max.X-20, onTheLeft.Max.Y-100)
		var link image.Rectangle
		harness.Eventually(t, harness.Timeout, func() bool {
			link = drawn(d.Screen().SubImage(page).(*image.RGBA))
			return link.Dx() > 100 && link.Dy() < 100
		}, "the browser shows no link")
		d.AwaitStill()
		d.step(t, "drop", func(t *testing.T) {
			downloads.drop(t, link.Min.Add(link.Max).Div(2), fm.link)
			if fm.links == linksAsked {
				d.Answer(d.AwaitWindow("^Create Link"), "Return")
			}
			harness.Eventually(t, harness.Timeout, func() bool { return len(d.mount.List(t)) == 1 }, "it asks for nothing")
			name := text
			if fm.links == linksPlain {
				name = d.mount.Sh(t, "cat new").Out(t)
			}
			d.awaitDownloads(t, name)
			assert.Equal(t, d.server.NodeID(t, "Sites/press/documentLibrary/photos"), d.mount.Sh(t, "cat '"+name+"/nodes'").Out(t))
			d.nothingHangs(t, "a link is dropped")
		})
		downloads.close()
		d.CloseWindow(browser)
	})
}

// TestDesktopOffice: LibreOffice opens the files of a download, and documents in it, to
// read them.
// Proves S-231.
func TestDesktopOffice(t *testing.T) {
	needsAll(t)
	d := newDesk(t)
	id := submit(t, d.mount, "Sites/press/documentLibrary/report.txt")
	d.finish()
	d.mount.AwaitStatus(t, harness.Timeout, id, "status", "DONE")
	for _, file := range []string{"status", "nodes", "contents/report.txt"} {
		d.step(t, file, func(t *testing.T) {
			p := d.Start("soffice", "--norestore", "--nologo", "--nofirststartwizard", filepath.Join(d.mount.Downloads, id, file))
			d.CloseWindow(d.AwaitWindow("^" + filepath.Base(file) + ` \(read-only\)`))
			p.Wait() // it would keep the mount busy
		})
	}
}
