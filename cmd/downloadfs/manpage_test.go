package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shownPages returns each page as man shows it on a terminal of so many columns.
func shownPages(t *testing.T, root *cobra.Command, columns int) map[string]string {
	t.Helper()
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff, which shows man pages, is missing; run: scripts/setup test")
	}
	shown := make(map[string]string)
	for name, page := range manPages(root, time.Unix(0, 0)) {
		var out, problems bytes.Buffer
		cmd := exec.Command(groff, "-Kutf8", "-man", "-Tutf8", "-ww", fmt.Sprintf("-rLL=%dn", columns), "-P-cbou")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(page), &out, &problems
		require.NoError(t, cmd.Run(), "%s: %s", name, &problems)
		assert.Empty(t, problems.String(), name)
		shown[name] = out.String()
	}
	return shown
}

// asOne returns a text as one line with single spaces.
func asOne(text string) string { return strings.Join(strings.Fields(text), " ") }

// A man page shows each word of the help, and the examples line by line as they are.
// Proves S-236.
func TestManPagesAreWhole(t *testing.T) {
	root := newRootCommand()
	pages := shownPages(t, root, 500)
	const margin = "           " // of an example: 7 of a section, and 4
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		name := pageName(cmd) + ".1"
		page := pages[name]
		require.NotEmpty(t, page, name)
		for block := range strings.SplitSeq(cmd.Long+"\n\n"+cmd.Example, "\n\n") {
			block = strings.Trim(block, "\n")
			if !strings.HasPrefix(block, "  ") {
				text := strings.TrimPrefix(strings.TrimPrefix(block, "#### "), "Exit codes: ")
				if text != block { // a list in the page
					text = ""
				}
				assert.Contains(t, asOne(page), asOne(text), name)
				continue
			}
			lines := strings.Split(block, "\n")
			for i, line := range lines {
				require.True(t, strings.HasPrefix(line, "  "), "%s: %q is not indented as its neighbours are", name, line)
				lines[i] = margin + line[2:]
			}
			assert.Contains(t, page, "\n"+strings.Join(lines, "\n")+"\n", name)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				assert.Contains(t, asOne(page), "--"+f.Name, name)
				assert.Contains(t, asOne(page), asOne(f.Usage), name)
			}
		})
		for _, sub := range shownCommands(cmd) {
			check(sub)
		}
	}
	check(root)
	assert.Contains(t, pages["downloadfs.1"], "downloads/<id>/archive.zip")
	assert.Contains(t, pages["downloadfs.1"], "downloadfs COMMAND")
}

// The example of a configuration can be copied from its page.
// Proves S-236.
func TestManPageExampleIsRight(t *testing.T) {
	page := shownPages(t, newRootCommand(), 500)["downloadfs-config.1"]
	_, example, ok := strings.Cut(page, "A file looks like this:\n")
	require.True(t, ok, page)
	example, _, _ = strings.Cut(example, "It is ")
	code, out, stderr := tool("config", "check", "--config", writeConfig(t, strings.TrimRight(example, " ")))
	assert.Zero(t, code, "%s%s%s", example, out, stderr)
	assert.Contains(t, out, "profiles: work")
}

// A page names only pages that there are, apropos finds it by its whole title, and it
// says where the files are and what the environment does.
// Proves S-236.
func TestManPagesReferAndTitle(t *testing.T) {
	pages := shownPages(t, newRootCommand(), 500)
	named := regexp.MustCompile(`downloadfs[a-z-]*\(1\)`)
	for name, page := range pages {
		for _, other := range named.FindAllString(page, -1) {
			assert.Contains(t, pages, strings.TrimSuffix(other, "(1)")+".1", name)
		}
		title, _, _ := strings.Cut(page[strings.Index(page, "NAME\n"):], "SYNOPSIS")
		assert.Equal(t, 1, strings.Count(title, " - "), "%s: %s", name, title)
		assert.NotContains(t, title, "--", name)
		assert.NotContains(t, page, "[=", name)
	}
	for name, says := range map[string][]string{
		"downloadfs.1":        {"\nEXIT STATUS\n", "\nENVIRONMENT\n", "\nFILES\n", "\nCOMMANDS\n", "mount.downloadfs(8)"},
		"downloadfs-mount.1":  {"\nENVIRONMENT\n", "\nFILES\n", "downloadfs-config(1)", "mount.downloadfs(8)", "KRB5CCNAME", systemStateDir},
		"downloadfs-doctor.1": {"the flags of mount"},
		"downloadfs-serve.1":  {envServeUsers},
	} {
		for _, text := range says {
			assert.Contains(t, pages[name], text, name)
		}
	}
	for name, page := range shownPages(t, newRootCommand(), 60) {
		assert.NotContains(t, page, "\u2010", "%s: a word is divided, and cannot be copied", name)
	}
	assert.NotContains(t, pages, "downloadfs-completion-powershell.1", "README names bash, zsh and fish")
}
