package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"

	"downloadfs/fetch"
)

func termIsTerminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) }

// plainEvery is how often a line reports progress where no person looks.
const plainEvery = 10 * time.Second

// progress shows how far a download is: a bar on a terminal, a line from time to time
// elsewhere, or JSON.
type progress struct {
	w        io.Writer
	json     bool
	terminal bool
	now      func() time.Time

	phase   fetch.Phase
	since   time.Time // start of the phase
	from    int64     // bytes that were done at that time
	told    time.Time
	last    string // the line shown now
	pending bool   // the bar's line has not ended yet
}

func newProgress(w io.Writer, asJSON bool) *progress {
	return &progress{w: w, json: asJSON, terminal: !asJSON && isTerminal(w), now: time.Now}
}

// event is the Tell callback of fetch.
func (p *progress) event(e fetch.Event) {
	now := p.now()
	changed := e.Phase != p.phase
	if changed {
		p.phase, p.since, p.from, p.told = e.Phase, now, e.Done, time.Time{}
	}
	ended := (e.Phase == fetch.Fetching || e.Phase == fetch.Saving) && e.Done == e.Total
	every := plainEvery
	if p.terminal {
		every = 100 * time.Millisecond
	} else if p.json {
		every = time.Second
	}
	if !ended && now.Sub(p.told) < every {
		return
	}
	p.told = now
	switch {
	case p.json:
		p.line(map[string]any{"phase": e.Phase, "download": e.ID, "name": e.Name, "done": e.Done, "total": e.Total, "files": e.Files, "totalFiles": e.Of,
			"partsDone": e.Parts, "parts": e.OfParts, "foldersWalked": e.Looked.Folders, "nodesWalked": e.Looked.Nodes})
	case p.terminal:
		text := progressText(e, p.width(), e.Done-p.from, now.Sub(p.since))
		fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(0, len([]rune(p.last))-len([]rune(text)))))
		p.last, p.pending = text, true
	default:
		fmt.Fprintln(p.w, strings.TrimSpace(progressText(e, 0, e.Done-p.from, now.Sub(p.since))))
	}
}

func (p *progress) line(v map[string]any) {
	text, err := json.Marshal(v)
	if err == nil {
		fmt.Fprintf(p.w, "%s\n", text)
	}
}

// width returns the terminal's width.
func (p *progress) width() int {
	if f, ok := p.w.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// end ends the bar's line.
func (p *progress) end() {
	if p.pending {
		fmt.Fprintln(p.w)
		p.pending = false
	}
}

// done reports where the files are.
func (p *progress) done(r getResult) {
	if p.json {
		p.line(map[string]any{"phase": "done", "file": r.file, "directory": r.dir, "files": r.extracted.Files, "numbered": append([]string{}, r.extracted.Numbered...), "size": r.size})
		return
	}
	if r.dir != "" {
		fmt.Fprintf(p.w, "%s unpacked into %s\n", counted(r.extracted.Files, "file", "files"), printable(r.dir))
		switch numbered := r.extracted.Numbered; {
		case len(numbered) == 1:
			fmt.Fprintf(p.w, "1 name was taken there; the new file is %s\n", printable(numbered[0]))
		case len(numbered) > 1:
			fmt.Fprintf(p.w, "%d names were taken there; the new files have a number, as %s\n", len(numbered), printable(numbered[0]))
		}
	}
	if r.file != "" {
		fmt.Fprintf(p.w, "saved %s (%s)\n", printable(r.file), bytesText(r.size))
	}
}

// progressText returns one line of at most width characters. With width 0 there is no
// bar and no limit. moved is how many bytes were done in took.
func progressText(e fetch.Event, width int, moved int64, took time.Duration) string {
	if e.Looked.Folders > 0 {
		text := fmt.Sprintf("looking what is in it: %s in %s so far",
			counted(e.Looked.Nodes, "node", "nodes"), counted(e.Looked.Folders, "folder", "folders"))
		if width > 0 {
			text = text[:min(len(text), width-1)]
		}
		return text
	}
	var parts []string
	percent := 0
	if e.Total > 0 {
		percent = int(min(100, 100*float64(e.Done)/float64(e.Total)))
		parts = append(parts, fmt.Sprintf("%3d%%", percent))
	}
	what := map[fetch.Phase]string{
		fetch.Zipping: "the server zips", fetch.Fetching: "fetching",
		fetch.Assembling: "zipping and fetching parts", fetch.Saving: "writing the zip",
		fetch.Checking: "checking the zip",
	}[e.Phase]
	switch {
	case e.Total > 0:
		parts = append(parts, fmt.Sprintf("%s of %s", bytesText(e.Done), bytesText(e.Total)))
	case e.Phase == fetch.Zipping:
		parts = append(parts, "waiting for its turn")
	case e.Phase == fetch.Assembling:
		parts = append(parts, "looking what is in it")
	}
	if e.OfParts > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d parts are here", e.Parts, e.OfParts))
	}
	if e.Phase == fetch.Zipping && e.Of > 0 {
		parts = append(parts, fmt.Sprintf("file %d of %d", e.Files, e.Of))
	}
	if rate := float64(moved) / took.Seconds(); took > time.Second && moved > 0 {
		parts = append(parts, bytesText(int64(rate))+"/s")
		if left := e.Total - e.Done; left > 0 {
			parts = append(parts, timeText(time.Duration(float64(left)/rate*float64(time.Second)))+" left")
		}
	}
	text := what + ": " + strings.TrimSpace(strings.Join(parts, ", "))
	if width == 0 {
		return text
	}
	if room := width - len(text) - 4; room >= 10 && e.Total > 0 {
		room = min(room, 40)
		filled := room * percent / 100
		text = "[" + strings.Repeat("#", filled) + strings.Repeat(".", room-filled) + "] " + text
	}
	return text[:min(len(text), width-1)]
}

// bytesText returns a size for people, in powers of 1000.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), -1
	for ; v >= 999.5; unit++ {
		v /= 1000
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %cB", v, "kMGTPE"[unit])
	}
	return fmt.Sprintf("%.0f %cB", v, "kMGTPE"[unit])
}

// timeText returns a duration for people.
func timeText(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", int(d.Hours()/24))
	case d >= time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
}
