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
	"strings"
	"text/tabwriter"
	"time"
)

// event is what a line of go test -json says, see go doc test2json.
type event struct {
	Action  string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// outcome is the result of a test.
type outcome struct {
	action  string // "pass", "fail", "skip", "" while it runs
	elapsed time.Duration
	// skipped lists the parts that were skipped, or the test itself.
	skipped []skip
	output  strings.Builder
}

// skip is a test or a part of one that was skipped, and why.
type skip struct{ test, why string }

// column is the result of the tests on one kernel.
type column struct {
	name   string // of the kernel
	kernel string // its own name for itself
	slow   string // the factor for time bounds, "" for 1
	tests  map[string]*outcome
	order  []string
	failed bool
	other  strings.Builder // output that belongs to no test
}

// runColumn runs go test -json. It writes to w what has passed, and the output of failed
// tests, as they come.
func runColumn(cmd *exec.Cmd, w io.Writer, name string) (column, error) {
	c := column{name: name, tests: make(map[string]*outcome)}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return c, err
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		return c, err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil {
				c.add(w, e)
			} else {
				c.other.Write(line)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c, err
		}
	}
	if err := cmd.Wait(); err != nil {
		c.failed = true
	}
	if len(c.tests) == 0 {
		return c, fmt.Errorf("no test ran on %s:\n%s", name, &c.other)
	}
	return c, nil
}

var skipReason = regexp.MustCompile(`\.go:\d+: (.*)`)

func (c *column) add(w io.Writer, e event) {
	if e.Test == "" {
		if version, ok := strings.CutPrefix(e.Output, "kernel "); ok && c.kernel == "" {
			c.kernel = strings.TrimSpace(version)
		}
		if slow, ok := strings.CutPrefix(e.Output, slowLine); ok {
			c.slow, _, _ = strings.Cut(slow, ":")
		}
		c.other.WriteString(e.Output)
		return
	}
	t := c.tests[e.Test]
	if t == nil {
		t = &outcome{}
		c.tests[e.Test] = t
		c.order = append(c.order, e.Test)
	}
	t.output.WriteString(e.Output)
	switch e.Action {
	case "pass", "fail", "skip":
		t.action, t.elapsed = e.Action, time.Duration(e.Elapsed*float64(time.Second))
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
		c.tests[top].skipped = append(c.tests[top].skipped, skip{e.Test, why})
	}
}

// printTable prints a row for each test, a column for each kernel, and what was
// skipped. It returns the exit code.
func printTable(w io.Writer, columns []column) int {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\ntest")
	for _, c := range columns {
		fmt.Fprint(t, "\t"+c.name)
		var notes []string
		if !strings.Contains(c.name, c.kernel) {
			notes = append(notes, c.kernel)
		}
		if c.slow != "" {
			notes = append(notes, "bounds ×"+c.slow)
		}
		if notes != nil {
			fmt.Fprintf(t, " (%s)", strings.Join(notes, ", "))
		}
	}
	fmt.Fprintln(t)
	code, totals := 0, make([]map[string]int, len(columns))
	var reasons []string // in the order of the tests
	skipped := make(map[string][]string)
	for _, test := range tops(columns) {
		fmt.Fprint(t, test)
		for i, c := range columns {
			if totals[i] == nil {
				totals[i] = make(map[string]int)
			}
			cell := "did not run"
			if o := c.tests[test]; o != nil {
				cell = o.cell()
				totals[i][o.action]++
				for _, s := range o.skipped {
					if skipped[s.why] == nil {
						reasons = append(reasons, s.why)
					}
					skipped[s.why] = append(skipped[s.why], c.name+": "+s.test)
				}
			}
			fmt.Fprint(t, "\t"+cell)
		}
		fmt.Fprintln(t)
	}
	for i, c := range columns {
		if c.failed || totals[i][""] > 0 {
			code = 1
		}
	}
	t.Flush()
	for _, why := range reasons {
		fmt.Fprintf(w, "\nskipped, %s\n\t%s\n", why, strings.Join(skipped[why], "\n\t"))
	}
	fmt.Fprintln(w)
	for i, c := range columns {
		fmt.Fprintf(w, "%s: %d passed, %d failed, %d skipped", c.name, totals[i]["pass"], totals[i]["fail"], totals[i]["skip"])
		if n := totals[i][""]; n > 0 {
			fmt.Fprintf(w, ", %d without an end:\n%s", n, &c.other)
		}
		fmt.Fprintln(w)
	}
	return code
}

// cell returns a table's text for a test.
func (o *outcome) cell() string {
	took := o.elapsed.Round(100 * time.Millisecond).String()
	switch {
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

// tops returns the tests that are not part of another, in the order of their first
// appearance.
func tops(columns []column) []string {
	var all []string
	for _, c := range columns {
		for _, name := range c.order {
			if !strings.Contains(name, "/") && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}
