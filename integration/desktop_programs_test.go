package integration

import (
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
