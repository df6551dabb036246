package integration

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

var updateSemantics = flag.Bool("update-semantics", false, "write the table of faults to SEMANTICS.md")

// The table of faults in SEMANTICS.md is the one that TestFaultTable runs. To
// write it anew: go test ./integration -run TestFaultTableInSemantics -update-semantics
func TestFaultTableInSemantics(t *testing.T) {
	harness.Lost(t, "EIO stands for EREMOTEIO")
	const file, begin, end = "../SEMANTICS.md", "<!-- faults -->\n", "<!-- /faults -->\n"
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(data)
	before, rest, ok := strings.Cut(text, begin)
	require.True(t, ok, "no %q in %s", begin, file)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "no %q in %s", end, file)
	want := before + begin + renderFaults() + end + after
	if *updateSemantics {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, text, "run this test with -update-semantics")
}

// renderFaults writes the table in Markdown. Faults of which the same is seen at
// every moment share a line.
func renderFaults() string {
	var lines []string
	faults := make(map[string][]string)
	for _, w := range faultTable {
		var cells []string
		for _, m := range faultMoments {
			cells = append(cells, shown(m.name, m.want(w.faultCells)))
		}
		line := strings.Join(cells, " | ")
		if faults[line] == nil {
			lines = append(lines, line)
		}
		faults[line] = append(faults[line], w.fault)
	}
	var b strings.Builder
	b.WriteString("| fault |")
	for _, m := range faultMoments {
		b.WriteString(" " + m.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(faultMoments)) + "\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(faults[line], " · "), line)
	}
	return b.String()
}

func shown(moment string, s *seen) string {
	switch {
	case s == nil:
		return ""
	case s == seesFine:
		return "works"
	case moment == "mount":
		return fmt.Sprintf("exit %d", s.code)
	}
	if s.or != 0 {
		return errnoNames[s.errno] + " or " + errnoNames[s.or]
	}
	return errnoNames[s.errno]
}
