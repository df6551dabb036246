package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)`)

// listTests returns the tests that go test would run, in the order of the source. Of a
// pattern that names subtests it takes the part before the slash.
func listTests(ctx context.Context, tested, tags, pattern, skip string) ([]string, error) {
	top, _, _ := strings.Cut(pattern, "/")
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-tags="+tags, "-list="+top, "downloadfs/integration")
	cmd.Env = append(os.Environ(), envTested+"="+tested)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	var skipped *regexp.Regexp
	if skip != "" && !strings.Contains(skip, "/") {
		if skipped, err = regexp.Compile(skip); err != nil {
			return nil, fmt.Errorf("-skip: %w", err)
		}
	}
	var tests []string
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		if testName.MatchString(name) && (skipped == nil || !skipped.MatchString(name)) {
			tests = append(tests, name)
		}
	}
	if len(tests) == 0 {
		return nil, fmt.Errorf("no test has a name like %q", pattern)
	}
	return tests, nil
}

// split deals tests out to batches, one for each guest: a test that hangs, or that takes
// the kernel with it, costs its batch and no other. It returns their patterns for go test
// -run. A batch has at most size tests, and there are at least atOnce batches if there are
// as many tests. Neighbours, which are often as slow as each other, come to different
// ones. With size 0, and for a pattern that names subtests, there is one batch.
func split(tests []string, pattern string, size, atOnce int) []string {
	if size == 0 || strings.Contains(pattern, "/") {
		return []string{pattern}
	}
	batches := make([][]string, min(len(tests), max(atOnce, (len(tests)+size-1)/size)))
	for i, test := range tests {
		b := &batches[i%len(batches)]
		*b = append(*b, test)
	}
	patterns := make([]string, len(batches))
	for i, b := range batches {
		patterns[i] = "^(" + strings.Join(b, "|") + ")$"
	}
	return patterns
}
