package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// event is what a line of go test -json says, see go doc test2json.
type event struct {
	Time   time.Time
	Action string
	Test   string
	Output string
}

// outcome is the result of a test.
type outcome struct {
	action  string // "pass", "fail", "skip", "" while it runs
	paused  bool   // it waits for its turn
	began   time.Time
	elapsed time.Duration // with that of its parts, which go test leaves out if they are parallel
	// skipped lists the parts that were skipped, or the test itself.
	skipped []skip
	output  strings.Builder
}

// skip is a test or a part of one that was skipped, and why.
type skip struct{ test, why string }

// column is the result of the tests on one kernel. Guests that run at once may add to it.
type column struct {
	name  string   // of the kernel
	tests []string // that are to run

	mu       sync.Mutex          // guards what follows
	kernel   string              // its own name for itself
	slow     int                 // the largest factor for time bounds, 0 while not known
	outcomes map[string]*outcome // by test
	failed   bool
	other    strings.Builder // output that belongs to no test
}

func newColumn(name string, tests []string) *column {
	return &column{name: name, tests: tests, outcomes: make(map[string]*outcome)}
}

// run runs go test -json and adds what it says. It writes to w what has passed, and the
// output of failed tests, as they come.
func (c *column) run(cmd *exec.Cmd, w io.Writer) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		return err
	}
	ran := false
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			ran = c.add(w, line) || ran
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	err = cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = true
	}
	if !ran {
		return fmt.Errorf("no test ran on %s:\n%s", c.name, &c.other)
	}
	return nil
}

var skipReason = regexp.MustCompile(`\.go:\d+: (.*)`)

// add adds a line of go test -json, and reports whether it is about a test.
func (c *column) add(w io.Writer, line []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var e event
	if json.Unmarshal(line, &e) != nil {
		c.other.Write(line)
		return false
	}
	if e.Test == "" {
		if version, ok := strings.CutPrefix(e.Output, "kernel "); ok && c.kernel == "" {
			c.kernel = strings.TrimSpace(version)
		}
		if slow, ok := strings.CutPrefix(e.Output, slowLine); ok {
			factor, _, _ := strings.Cut(slow, ":")
			n, _ := strconv.Atoi(factor)
			c.slow = max(c.slow, n)
		}
		c.other.WriteString(e.Output)
		return false
	}
	t := c.outcomes[e.Test]
	if t == nil {
		t = &outcome{}
		c.outcomes[e.Test] = t
	}
	t.output.WriteString(e.Output)
	switch e.Action {
	case "pause":
		t.paused = true
	case "run", "cont":
		t.paused, t.began = false, e.Time
	case "pass", "fail", "skip":
		t.action, t.elapsed = e.Action, e.Time.Sub(t.began)
	}
	switch e.Action {
	case "pass":
		if !strings.Contains(e.Test, "/") { // a run can take hours
			fmt.Fprintf(w, "%s: %s: %s\n", c.name, e.Test, t.cell())
		}
	case "fail":
		fmt.Fprintf(w, "%s: %s", c.name, t.output.String())
	case "skip":
		why := "no reason told"
		if m := skipReason.FindStringSubmatch(t.output.String()); m != nil {
			why = m[1]
		}
		top, _, _ := strings.Cut(e.Test, "/")
		c.outcomes[top].skipped = append(c.outcomes[top].skipped, skip{e.Test, why})
	}
	return true
}

// unfinished returns the tests, and parts of tests, that began and did not end.
func (c *column) unfinished() []string {
	var names []string
	for name, o := range c.outcomes {
		if o.action == "" && !o.paused {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// printTable prints a row for each test, a column for each kernel, what was skipped, and
// the output of what did not end. It returns the exit code.
func printTable(w io.Writer, columns []*column) int {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\ntest")
	for _, c := range columns {
		fmt.Fprint(t, "\t"+c.name)
		var notes []string
		if !strings.Contains(c.name, c.kernel) {
			notes = append(notes, c.kernel)
		}
		if c.slow > 0 {
			notes = append(notes, fmt.Sprintf("bounds ×%d", c.slow))
		}
		if notes != nil {
			fmt.Fprintf(t, " (%s)", strings.Join(notes, ", "))
		}
	}
	fmt.Fprintln(t)
	totals := make([]map[string]int, len(columns)) // by the first word of a cell
	var reasons []string                           // in the order of the tests
	skipped := make(map[string][]string)
	for _, test := range columns[0].tests {
		fmt.Fprint(t, test)
		for i, c := range columns {
			if totals[i] == nil {
				totals[i] = make(map[string]int)
			}
			o := c.outcomes[test]
			if o == nil {
				o = &outcome{paused: true}
			}
			for _, s := range o.skipped {
				if skipped[s.why] == nil {
					reasons = append(reasons, s.why)
				}
				skipped[s.why] = append(skipped[s.why], c.name+": "+s.test)
			}
			cell := o.cell()
			word, _, _ := strings.Cut(cell, " ")
			totals[i][word]++
			fmt.Fprint(t, "\t"+cell)
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	for _, why := range reasons {
		fmt.Fprintf(w, "\nskipped, %s\n\t%s\n", why, strings.Join(skipped[why], "\n\t"))
	}
	code := 0
	for i, c := range columns {
		n := totals[i]
		if c.failed || n["NO"]+n["did"] > 0 {
			code = 1
			fmt.Fprintf(w, "\n%s, output of no test:\n%s", c.name, &c.other)
		}
		for _, name := range c.unfinished() {
			fmt.Fprintf(w, "\n%s, no end of %s:\n%s", c.name, name, &c.outcomes[name].output)
		}
	}
	fmt.Fprintln(w)
	for i, c := range columns {
		n := totals[i]
		fmt.Fprintf(w, "%s: %d passed, %d failed, %d skipped", c.name, n["pass"], n["FAIL"], n["skipped"])
		if n["NO"]+n["did"] > 0 {
			fmt.Fprintf(w, ", %d without an end, %d did not run", n["NO"], n["did"])
		}
		fmt.Fprintln(w)
	}
	return code
}

// cell returns a table's text for a test.
func (o *outcome) cell() string {
	took := o.elapsed.Round(100 * time.Millisecond).String()
	switch {
	case o.action == "" && o.paused:
		return "did not run"
	case o.action == "":
		return "NO END"
	case o.action == "fail":
		return "FAIL " + took
	case o.action == "skip":
		return "skipped"
	case len(o.skipped) > 0:
		return fmt.Sprintf("pass %s, %d skipped", took, len(o.skipped))
	default:
		return "pass " + took
	}
}
