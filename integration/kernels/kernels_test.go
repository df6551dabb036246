package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRelay(t *testing.T) {
	for _, test := range []struct {
		name, console, out string
		code               int
		err                string
	}{
		{"passes", "booting\r\nkernels: begin 6.1\r\n=== RUN\r\nok\r\nkernels: exit 0\r\npower down\r\n", "kernel 6.1\n=== RUN\nok\n", 0, ""},
		{"fails", "kernels: begin 6.1\nFAIL\nkernels: exit 3\n", "kernel 6.1\nFAIL\n", 3, ""},
		{"exit in the last line of output", "kernels: begin 6.1\nno end of linekernels: exit 1\n", "kernel 6.1\n", 1, ""},
		{"panics first", "Kernel panic: no init", "", 0, "Kernel panic: no init"},
		{"panics later", "kernels: begin 6.1\nBUG", "kernel 6.1\nBUG", 0, "ended before its tests"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			code, err := relay(&out, strings.NewReader(test.console))
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.out, out.String())
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	all := []kernel{{name: here}, {name: "uml"}, {name: "qemu-6.1"}, {name: "qemu-6.12"}}
	for names, want := range map[string]string{"": "uml qemu-6.1 qemu-6.12", "uml": "uml", "qemu": "qemu-6.1 qemu-6.12", "qemu-6.12": "qemu-6.12", here: here} {
		chosen, err := choose(all, strings.Fields(names))
		require.NoError(t, err)
		var got []string
		for _, k := range chosen {
			got = append(got, k.name)
		}
		assert.Equal(t, want, strings.Join(got, " "), names)
	}
	_, err := choose(all, []string{"bsd"})
	require.ErrorContains(t, err, "scripts/setup kernels")
	_, err = choose(all[:1], nil)
	require.ErrorContains(t, err, "scripts/setup kernels")
}

func TestSlower(t *testing.T) {
	for _, test := range []struct {
		there, here time.Duration
		want        int
	}{{10, 10, 3}, {1, 100, 1}, {101, 10, 31}, {1000, 10, 300}} {
		assert.Equal(t, test.want, slower(test.there, test.here))
	}
	cpu, wall, err := yardstick("true")
	require.NoError(t, err)
	assert.Positive(t, cpu)
	assert.Positive(t, wall)
	_, _, err = yardstick("false")
	require.Error(t, err)
	require.ErrorContains(t, inside("soon", []string{"true"}), "usage")
}

func TestQuote(t *testing.T) {
	for _, word := range []string{"plain", "", `^(A|B)$`, `it's "x" \ $HOME`, "a\nb"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(word)).Output()
		require.NoError(t, err)
		assert.Equal(t, word, string(out))
	}
}

// TestTable: nothing is lost from the table: no failure, no skip, no test without
// an end.
func TestTable(t *testing.T) {
	const events = `{"Action":"output","Output":"kernel 6.1.176\n"}
{"Action":"output","Output":"kernels: slow 14: what takes 70ms on the machine takes 480ms here\n"}
{"Time":"2026-01-01T00:00:01.00Z","Action":"run","Test":"TestA"}
{"Time":"2026-01-01T00:00:02.23Z","Action":"pass","Test":"TestA","Elapsed":0}
{"Time":"2026-01-01T00:00:03.00Z","Action":"run","Test":"TestB"}
{"Time":"2026-01-01T00:00:03.50Z","Action":"pause","Test":"TestB"}
{"Time":"2026-01-01T00:00:04.00Z","Action":"cont","Test":"TestB"}
{"Action":"run","Test":"TestB/root"}
{"Action":"output","Test":"TestB/root","Output":"    b_test.go:7: not as root\n"}
{"Action":"skip","Test":"TestB/root"}
{"Time":"2026-01-01T00:00:04.50Z","Action":"pass","Test":"TestB"}
{"Time":"2026-01-01T00:00:05.00Z","Action":"run","Test":"TestC"}
{"Action":"output","Test":"TestC","Output":"    c_test.go:9: it broke\n"}
{"Time":"2026-01-01T00:00:07.00Z","Action":"fail","Test":"TestC"}
{"Action":"run","Test":"TestD"}
{"Action":"output","Test":"TestD","Output":"    d_test.go:1: needs more\n"}
{"Action":"skip","Test":"TestD"}
{"Action":"run","Test":"TestE"}
{"Action":"output","Test":"TestE","Output":"=== RUN   TestE\n"}
{"Action":"run","Test":"TestF"}
{"Action":"pause","Test":"TestF"}
{"Action":"output","Output":"panic: no more\n"}
`
	var out strings.Builder
	c := newColumn("uml", strings.Fields("TestA TestB TestC TestD TestE TestF TestG"))
	require.NoError(t, c.run(exec.Command("printf", "%s", events), &out))
	assert.Contains(t, out.String(), "it broke")
	out.Reset()
	assert.Equal(t, 1, printTable(&out, []*column{c}))
	assert.Equal(t, `
test   uml (6.1.176, bounds ×14)
TestA  pass 1.2s
TestB  pass 500ms, 1 skipped
TestC  FAIL 2s
TestD  skipped
TestE  NO END
TestF  did not run
TestG  did not run

skipped, not as root
	uml: TestB/root

skipped, needs more
	uml: TestD

uml, output of no test:
kernel 6.1.176
kernels: slow 14: what takes 70ms on the machine takes 480ms here
panic: no more

uml, no end of TestE:
=== RUN   TestE

uml: 2 passed, 1 failed, 1 skipped, 1 without an end, 2 did not run
`, out.String())

	require.ErrorContains(t, c.run(exec.Command("printf", "%s", "go: cannot find it"), &out), "cannot find it")

	c = newColumn("uml", []string{"TestA"})
	require.NoError(t, c.run(exec.Command("printf", "%s", `{"Action":"pass","Test":"TestA"}`), &out))
	assert.Zero(t, printTable(&out, []*column{c}))
}

// TestSplit: every test is in one batch.
func TestSplit(t *testing.T) {
	tests := strings.Fields("A B C D E")
	for _, c := range []struct {
		pattern      string
		size, atOnce int
		want         string
	}{
		{".", 0, 1, "."},
		{".", 8, 1, "^(A|B|C|D|E)$"},
		{".", 8, 2, "^(A|C|E)$ ^(B|D)$"},
		{".", 2, 2, "^(A|D)$ ^(B|E)$ ^(C)$"},
		{".", 8, 9, "^(A)$ ^(B)$ ^(C)$ ^(D)$ ^(E)$"},
		{"A/root", 8, 2, "A/root"},
	} {
		assert.Equal(t, c.want, strings.Join(split(tests, c.pattern, c.size, c.atOnce), " "))
	}
}
