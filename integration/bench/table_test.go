package bench

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"downloadfs/integration/harness"
)

var (
	table = flag.Bool("table", false, "measure and print the table")
	runs  = flag.Int("runs", 5, "how often each figure is measured")
	size  = flag.Int64("size", 2000<<20, "bytes of the large archive")
	only  = flag.String("only", "", "measure only the rows that match this regular expression")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !*table {
		os.Exit(m.Run()) // no binary is needed to skip
	}
	harness.Main(m)
}

// cell is what a row says for one user who mounts.
type cell struct {
	value    fmt.Stringer
	baseline string
}

// row is one line of the table.
type row struct{ what, target string }

// experiment measures one or more rows at once; measure returns their cells.
type experiment struct {
	rows    []row
	measure func(t *testing.T, u harness.User) []cell
}

var experiments = []experiment{
	{[]row{
		{"first read ÷ curl to /dev/null, loopback", "≥ 0.45"},
		{"the same ÷ curl into a file", "≥ 1.3"},
		{"the same ÷ rclone's mount without a cache", "≥ 2.2"},
		{"the same ÷ rclone's mount with its full cache", "–"},
		{"the same: CPU seconds of the mount a GiB", "≤ 1.35 s"},
		{"the same: peak resident memory", "≤ 40 MB"},
	}, first},
	{[]row{{"the same ÷ curl to /dev/null, when new memory is dear", "≥ 0.30"}}, firstDear},
	{[]row{{"first read ÷ curl, server gives 100 MB/s per connection", "≥ 0.97"}}, cold100},
	{[]row{{"first read ÷ curl, server gives 20 MB/s per connection", "≥ 3.5"}}, cold20},
	{[]row{{"second read of a cached archive ÷ native file", "≥ 0.90 as root"}}, warm},
	{[]row{
		{"DONE on the server → reader goes on: median", "≤ 150 ms"},
		{"DONE on the server → reader goes on: worst", "≤ 2,200 ms"},
	}, wake},
	{[]row{{"status requests for a download of 30 s, 50 waiters", "≤ 30"}}, statusRequests},
	{[]row{
		{"10,000 pending downloads: requests a second", "≤ 60"},
		{"10,000 pending downloads: peak resident memory", "≤ 150 MB"},
		{"10,000 pending downloads: `ls`", "≤ 0.5 s"},
	}, manyPending},
	{[]row{{"10,000 finished downloads: requests by `ls` and `ls -l`", "0"}}, listingRequests},
	{[]row{
		{"`unzip -l`, 20,000 entries: content requests", "≤ 3"},
		{"`unzip -l`, 20,000 entries: bytes beyond the central directory", "≤ 2.10 MB"},
	}, listArchive},
	{[]row{{"8 readers of 8 archives at once: peak resident memory", "bounded"}}, parallelMemory},
	{[]row{
		{"contents: one document of 1 MiB, 20,000 entries: content requests", "≤ 3"},
		{"contents: the same: bytes beyond it and the central directory", "≤ 2.10 MB"},
		{"contents: the same ÷ curl of those bytes, and unpacking", "≤ 1.3"},
	}, oneDocument},
	{[]row{
		{"contents: `cp -rL` of 20,000 documents, not cached: content requests", "≤ 3"},
		{"contents: the same ÷ curl and unzip", "≤ 1.3"},
	}, allDocuments},
	{[]row{
		{"contents, cached: `ls -lR` of 20,000 documents ÷ fuse-zip", "< 1"},
		{"contents, cached: reading all ÷ fuse-zip", "< 1"},
		{"contents, cached: reading the first one ÷ mounting fuse-zip for it", "< 1"},
		{"contents, cached: a second `grep -r` ÷ of the unpacked tree", "≤ 1.3"},
	}, cachedDocuments},
	{[]row{
		{"contents, cached: one packed document of 1 GB, unzip -p ÷ cat", "≥ 0.90"},
		{"contents: a seek into its middle: worst", "≤ 50 ms"},
	}, largeDocument},
	{[]row{
		{"contents, cached: 8 readers of packed documents: peak resident memory", "≤ 96 MB"},
		{"contents: the same, not cached", "bounded"},
	}, unpackingMemory},
	{[]row{
		{"contents: 1,000,000 entries: peak resident memory", "≤ 200 MB"},
		{"contents: 1,000,000 entries: the first `ls`", "–"},
	}, manyEntries},
	{[]row{
		{"in parts: from asking to the last byte ÷ one zip and curl, no limit", "≤ 1.3"},
		{"in parts: most room that the server's zips take", "bounded"},
		{"in parts: peak resident memory", "≤ 64 MB"},
	}, inSmallParts},
	{[]row{{"in parts, 4 of 500 MB: from asking to the last byte ÷ the same", "≤ 1.3"}}, inLargeParts},
	{[]row{{"in parts, 4 of 500 MB, server zips and sends 100 MB/s: the same", "≤ 1.3"}}, inPacedParts},
	{[]row{{"in parts: requests to walk 10,000 folders", "≤ 10,200"}}, walking},
	{[]row{{"in parts: 1,000,000 entries, read and listed: peak resident memory", "≤ 200 MB"}}, manyEntriesInParts},
}

// TestTable prints the table of README, as root and as an ordinary user.
func TestTable(t *testing.T) {
	if !*table {
		t.Skip("a measurement, run by: make bench")
	}
	pattern := regexp.MustCompile(*only)
	users := []harness.User{{}}
	if (harness.User{}).Root() {
		users = append(users, harness.Nobody(t))
	}
	var out strings.Builder
	out.WriteString("\n| what | target | " + mountedBy(users[0]) + " | baseline |")
	rule := "\n|---|---|---|---|"
	if len(users) > 1 {
		out.WriteString(" " + mountedBy(users[1]) + " | baseline |")
		rule += "---|---|"
	}
	out.WriteString(rule + "\n")
	for _, e := range experiments {
		lines := make([]string, len(e.rows))
		wanted := false
		for i, r := range e.rows {
			lines[i] = fmt.Sprintf("| %s | %s |", r.what, r.target)
			wanted = wanted || pattern.MatchString(r.what)
		}
		if !wanted {
			continue
		}
		for _, u := range users {
			// A subtest ends its servers and mounts with the experiment.
			cells := make([]cell, len(e.rows))
			if !t.Run(e.rows[0].what+"/"+mountedBy(u), func(t *testing.T) { copy(cells, e.measure(t, u)) }) {
				cells = slices.Repeat([]cell{{failed{}, ""}}, len(e.rows))
			}
			for i, c := range cells {
				lines[i] += fmt.Sprintf(" %s | %s |", c.value, c.baseline)
			}
		}
		for _, line := range lines {
			fmt.Fprintln(os.Stderr, line)
			out.WriteString(line + "\n")
		}
	}
	fmt.Println(out.String())
}

func mountedBy(u harness.User) string {
	if u.Root() {
		return "root"
	}
	return "ordinary user"
}

type failed struct{}

func (failed) String() string { return "failed" }
