package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"downloadfs/download"
)

// serverKeeps is how long a server keeps a download, unless its administrator has set
// another time.
const serverKeeps = time.Hour

// quietAfter is how long the counters of a download may stand still before its rate says
// nothing any more. A slow server takes its time for a step.
const quietAfter = time.Minute

// steadyAfter is how old a download is before its rate says something: a server counts
// in large steps.
const steadyAfter = 5 * time.Second

func newStatusCommand() *cobra.Command {
	var watch, asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "status [flags] [MOUNTPOINT|PROFILE…]",
		Short: "Show how far the downloads of a mount are",
		Long: `status shows the downloads of a mount, or of all mounts of yours: name, state, how
far the server is with zipping, its rate and the time left (or how long it has not
answered, or made no progress), how much of the archive is here, the age, and when the
server will delete it (an hour after it was made, unless its administrator has set
something else; never, if it was got in parts).`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if every < 100*time.Millisecond {
				return exitf(exitUsage, "--interval %v is too short", every)
			}
			s := &statusView{cmd: cmd, w: cmd.OutOrStdout(), json: asJSON, mountpoints: args, now: time.Now, before: map[string]statusSample{}}
			if !watch {
				return s.show()
			}
			return s.watch(ctx, every)
		},
	}
	addConfigFlag(cmd.Flags())
	cmd.ValidArgsFunction = completeMounts
	cmd.Flags().BoolVar(&watch, "watch", false, "go on showing, until Ctrl-C")
	cmd.Flags().DurationVar(&every, "interval", time.Second, "how often --watch shows")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, a line for each download")
	return cmd
}

// downloadStatus is a download as its status.json describes it.
type downloadStatus struct {
	Mountpoint  string          `json:"mountpoint"`
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Status      download.Status `json:"status"`
	Error       string          `json:"error,omitempty"`
	BytesAdded  int64           `json:"bytesAdded"`
	TotalBytes  int64           `json:"totalBytes"`
	FilesAdded  int64           `json:"filesAdded"`
	TotalFiles  int64           `json:"totalFiles"`
	ArchiveName string          `json:"archiveName,omitempty"`
	ArchiveSize int64           `json:"archiveSize,omitempty"`
	CachedBytes int64           `json:"cachedBytes"`
	Parts       int             `json:"parts,omitempty"`
	CreatedAt   time.Time       `json:"createdAt,omitzero"`
	BegunAt     time.Time       `json:"begunAt,omitzero"`
	ChangedAt   time.Time       `json:"changedAt,omitzero"`
	Silent      time.Time       `json:"noAnswerSince,omitzero"`
}

// statusSample is the basis for computing a download's rate.
type statusSample struct {
	at    time.Time
	bytes int64
	rate  float64 // bytes a second, smoothed
}

// statusView shows downloads.
type statusView struct {
	cmd         *cobra.Command
	w           io.Writer
	json        bool
	mountpoints []string
	now         func() time.Time
	before      map[string]statusSample // by mountpoint and id
}

func (s *statusView) show() error {
	text, err := s.render()
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.w, text)
	return err
}

// watch shows the downloads again and again. On a terminal it has the screen to itself,
// and leaves the last table when it ends.
func (s *statusView) watch(ctx context.Context, every time.Duration) error {
	out := fileOf(s.w)
	terminal := out != nil && !s.json && isTerminal(out)
	if terminal {
		if _, err := io.WriteString(s.w, otherScreen); err != nil {
			return err
		}
	}
	last, err := s.repeat(ctx, every, func(text string) string {
		switch {
		case terminal:
			width, height := screenSize(out)
			// Go to the top, clear each line before it is written, then everything below.
			return "\x1b[H\x1b[K" + strings.ReplaceAll(fit(text, width, height), "\n", "\r\n\x1b[K") + "\x1b[J"
		case s.json:
			return text
		}
		return text + "\n"
	})
	if terminal {
		_, writeErr := io.WriteString(s.w, ownScreen+last)
		err = errors.Join(err, writeErr)
	}
	return err
}

// repeat writes the downloads until ctx ends, in the form that draw gives them. It
// returns the last text.
func (s *statusView) repeat(ctx context.Context, every time.Duration, draw func(string) string) (string, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := ""
	for {
		text, err := s.render()
		if err != nil {
			return last, err
		}
		last = text
		if _, err := io.WriteString(s.w, draw(text)); err != nil {
			return last, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last, nil
		}
	}
}

// What switches a terminal to its other screen, without a cursor and without wrapping
// lines, and back.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	ownScreen   = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// screenSize returns how many characters and lines a terminal shows.
func screenSize(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}

// fit cuts lines that are too long for a screen, and leaves out the last ones if there
// are too many, with a line that says so.
func fit(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if over := len(lines) - (height - 1); over > 0 && height > 2 {
		lines = append(lines[:height-2], fmt.Sprintf("… and %d more lines", over+1))
	}
	for i, line := range lines {
		lines[i] = shorten(line, width)
	}
	return strings.Join(lines, "\n") + "\n"
}

// render looks at all mounts. If one ends meanwhile, it looks at all of them again: what
// it read of that one may be half of its downloads.
func (s *statusView) render() (string, error) {
	for {
		mountpoints, err := answeringMounts(s.cmd, s.mountpoints)
		if err != nil {
			return "", err
		}
		text, whole, err := s.renderMounts(mountpoints)
		if whole || err != nil {
			return text, err
		}
	}
}

// renderMounts returns the tables of mounts, or false if one has ended meanwhile.
func (s *statusView) renderMounts(mountpoints []string) (text string, whole bool, err error) {
	var b strings.Builder
	for _, m := range mountpoints {
		all, err := readStatus(m)
		switch {
		case unmounted(m), err != nil && mountState(m) != "mounted":
			return "", false, nil
		case err != nil:
			return "", false, exitf(exitMountpoint, "cannot read the downloads of %s: %w", m, err)
		}
		if s.json {
			for _, d := range all {
				text, err := json.Marshal(d)
				if err != nil {
					return "", false, err
				}
				b.Write(append(text, '\n'))
			}
			continue
		}
		if len(mountpoints) > 1 {
			fmt.Fprintf(&b, "%s:\n", printable(m))
		}
		s.table(&b, all)
	}
	return b.String(), true, nil
}

// readStatus reads what the mount says about its downloads, the newest first. One that is
// renamed meanwhile is in it once.
func readStatus(mountpoint string) ([]downloadStatus, error) {
	dir := filepath.Join(mountpoint, "downloads")
	read, gone := map[string]downloadStatus{}, map[string]bool{} // by name
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		var all []downloadStatus
		again := false
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			d, known := read[e.Name()]
			if !known {
				d, err = readDownload(mountpoint, e.Name())
			}
			switch {
			case errors.Is(err, os.ErrNotExist):
				again = again || !gone[e.Name()] // it is removed, or has another name now
				gone[e.Name()] = true
			case err != nil:
				return nil, err
			default:
				read[e.Name()] = d
				all = append(all, d)
			}
		}
		if !again {
			slices.SortStableFunc(all, func(a, b downloadStatus) int { return b.CreatedAt.Compare(a.CreatedAt) })
			return all, nil
		}
	}
}

// readDownload reads what the mount says about one download.
func readDownload(mountpoint, name string) (downloadStatus, error) {
	text, err := os.ReadFile(filepath.Join(mountpoint, "downloads", name, "status.json"))
	if err != nil {
		return downloadStatus{}, err
	}
	d := downloadStatus{}
	if err := json.Unmarshal(text, &d); err != nil {
		return d, fmt.Errorf("%s: %w", name, err)
	}
	d.Mountpoint, d.Name = mountpoint, cmp.Or(name, d.Name)
	return d, nil
}

// table writes a line for each download.
func (s *statusView) table(w io.Writer, all []downloadStatus) {
	now := s.now()
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tSTATE\tZIPPED\tRATE\tLEFT\tHERE\tAGE\tEXPIRES")
	for _, d := range all {
		zipped, rate, left := "-", "-", "-"
		if d.TotalBytes > 0 && d.Status != download.StatusTooLarge {
			zipped = fmt.Sprintf("%d%%", int(100*float64(d.BytesAdded)/float64(d.TotalBytes)))
		}
		quiet := now.Sub(d.ChangedAt)
		switch r := s.rate(d, now); {
		case d.Status.Ended():
		case !d.Silent.IsZero():
			left = "no answer for " + timeText(now.Sub(d.Silent))
		case d.Status == download.StatusInProgress && !d.ChangedAt.IsZero() && quiet >= quietAfter:
			left = "no progress for " + timeText(quiet)
		case r > 0:
			rate = bytesText(int64(r)) + "/s"
			left = timeText(time.Duration(float64(d.TotalBytes-d.BytesAdded) / r * float64(time.Second)))
		}
		here := "-"
		if d.ArchiveSize > 0 {
			here = fmt.Sprintf("%d%% of %s", int(100*float64(d.CachedBytes)/float64(d.ArchiveSize)), bytesText(d.ArchiveSize))
		}
		age, expires := "-", "-"
		if !d.CreatedAt.IsZero() {
			age = timeText(now.Sub(d.CreatedAt))
			if left := d.CreatedAt.Add(serverKeeps).Sub(now); d.Status == download.StatusDone && d.Parts == 0 && left > 0 {
				expires = "in " + timeText(left)
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", shorten(printable(d.Name), 40), printable(string(d.Status)), zipped, rate, left, here, age, expires)
	}
	_ = table.Flush()
	if len(all) == 0 {
		fmt.Fprintln(w, "no downloads")
	}
}

// rate returns how fast the server zips, since the last look or else since it began
// with the download. It returns 0 until there is enough to tell.
func (s *statusView) rate(d downloadStatus, now time.Time) float64 {
	key := d.Mountpoint + "\x00" + d.ID
	last, seen := s.before[key]
	sample := statusSample{at: now, bytes: d.BytesAdded, rate: last.rate}
	began := d.BegunAt
	if began.IsZero() {
		began = d.CreatedAt
	}
	age := now.Sub(began)
	if d.Status == download.StatusPending || !began.IsZero() && age < steadyAfter {
		return 0 // the wait for its turn says nothing about the rate
	}
	switch took := now.Sub(last.at).Seconds(); {
	case !seen && !began.IsZero():
		sample.rate = float64(d.BytesAdded) / age.Seconds()
	case seen && took > 0:
		fresh := float64(d.BytesAdded-last.bytes) / took
		sample.rate = 0.7*last.rate + 0.3*fresh // servers count in steps of 10 MB
	}
	s.before[key] = sample
	return sample.rate
}

// shorten cuts a name to n characters.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
