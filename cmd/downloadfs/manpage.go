package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fact is an item of ENVIRONMENT or FILES. It is on the pages of the commands that have
// a flag, and on the page of downloadfs itself.
type fact struct{ flag, name, text string }

var manEnvironment = []fact{
	{"password-file", envUsername + ", " + envPassword, "the account; a password that is a ticket (TICKET_…) needs no user name"},
	{"config", "DOWNLOADFS_…", "any flag: " + envName("cache-size") + " is --cache-size"},
	{"config", "XDG_CONFIG_HOME", "where the directory downloadfs with config.yaml is, instead of ~/.config"},
	{"state-dir", "XDG_STATE_HOME", "where the directory downloadfs of --state-dir is, instead of ~/.local/state"},
	{"cache-dir", "XDG_CACHE_HOME", "where the directory downloadfs of --cache-dir is, instead of ~/.cache"},
	{"ca-cert", "HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "the proxy, with its login as http://USER:PASSWORD@HOST:PORT, and the hosts that are reached without it"},
	{"kerberos", "KRB5CCNAME, KRB5_CONFIG", "where the tickets and the configuration of Kerberos are"},
	{"", "NOTIFY_SOCKET", "systemd is told there when the mount is ready"},
	{"user", envServeUsers, "accounts of serve, as --user has them, separated by white space"},
}

var manFiles = []fact{
	{"config", "~/.config/downloadfs/config.yaml", "the configuration, see downloadfs-config(1)"},
	{"config", systemConfig, "the configuration for all users of this machine"},
	{"state-dir", "~/.local/state/downloadfs", "what is remembered of downloads; logins, if there is no keyring; logs of mounts in the background"},
	{"cache-dir", "~/.cache/downloadfs", "archives"},
	{"cache-dir", systemStateDir + ", " + systemCacheDir, "the same of mounts that the system makes: by fstab, and as the unit downloadfs@"},
}

// manRelated are the pages that a page names besides those of its parent and its
// subcommands.
var manRelated = map[string][]string{
	"downloadfs":           {"mount.downloadfs(8)"},
	"downloadfs mount":     {"downloadfs-config(1)", "downloadfs-login(1)", "downloadfs-status(1)", "downloadfs-unmount(1)", "downloadfs-doctor(1)", "mount.downloadfs(8)"},
	"downloadfs unmount":   {"downloadfs-mount(1)", "downloadfs-list(1)", "umount(8)"},
	"downloadfs config":    {"downloadfs-mount(1)"},
	"downloadfs get":       {"downloadfs-mount(1)", "downloadfs-login(1)"},
	"downloadfs status":    {"downloadfs-mount(1)", "downloadfs-list(1)"},
	"downloadfs list":      {"downloadfs-status(1)", "downloadfs-unmount(1)"},
	"downloadfs bandwidth": {"downloadfs-mount(1)"},
	"downloadfs login":     {"downloadfs-logout(1)", "downloadfs-mount(1)"},
	"downloadfs logout":    {"downloadfs-login(1)"},
	"downloadfs cache":     {"downloadfs-mount(1)"},
	"downloadfs share":     {"downloadfs-mount(1)"},
	"downloadfs doctor":    {"downloadfs-mount(1)"},
}

// manPages returns the page of each command, by the name of its file. The texts of the
// help are not markup, so each character of them is in the page.
func manPages(root *cobra.Command, date time.Time) map[string][]byte {
	pages := make(map[string][]byte)
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		pages[pageName(cmd)+".1"] = manPage(cmd, date)
		for _, sub := range shownCommands(cmd) {
			add(sub)
		}
	}
	add(root)
	return pages
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// shownCommands returns the subcommands that are not hidden.
func shownCommands(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return !c.IsAvailableCommand() })
}

func manPage(cmd *cobra.Command, date time.Time) []byte {
	cmd.InitDefaultHelpFlag()
	cmd.InheritedFlags() // adds them to cmd.Flags
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s 1 %q %q \"User Commands\"\n.nr HY 0\n.nh\n.ad l\n", troff(strings.ToUpper(pageName(cmd))), date.Format(time.DateOnly), "downloadfs "+versionText())
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", troff(pageName(cmd)), troff(strings.ToLower(cmd.Short[:1])+cmd.Short[1:]))
	arguments := strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())
	if !cmd.HasParent() {
		arguments = " COMMAND [flags] [argument…]"
	}
	fmt.Fprintf(&b, ".SH SYNOPSIS\n\\fB%s\\fP%s\n", troff(cmd.CommandPath()), troff(arguments))

	text, exits, _ := strings.Cut(cmd.Long, "\n\nExit codes: ")
	if text == "" {
		text = cmd.Short + "."
	}
	manSection(&b, "DESCRIPTION")
	manText(&b, text)
	if subs := shownCommands(cmd); len(subs) > 0 {
		manSection(&b, "COMMANDS")
		for _, sub := range subs {
			manItem(&b, `\fB`+troff(sub.Name())+`\fP`, sub.Short)
		}
	}
	manSection(&b, "OPTIONS")
	cmd.Flags().VisitAll(func(f *pflag.Flag) { manFlag(&b, f) })
	if exits != "" {
		manSection(&b, "EXIT STATUS")
		for item := range strings.SplitSeq(strings.TrimSuffix(strings.Join(strings.Fields(exits), " "), "."), ", ") {
			code, meaning, _ := strings.Cut(item, " ")
			manItem(&b, troff(code), meaning)
		}
	}
	manFacts(&b, cmd, "ENVIRONMENT", manEnvironment)
	manFacts(&b, cmd, "FILES", manFiles)
	if cmd.Example != "" {
		manSection(&b, "EXAMPLES")
		manText(&b, cmd.Example)
	}
	manRefer(&b, cmd)
	return b.Bytes()
}

func manSection(b *bytes.Buffer, title string) { b.WriteString(".SH " + title + "\n") }

// manItem writes an item of a list. head is in troff already.
func manItem(b *bytes.Buffer, head, text string) {
	b.WriteString(".TP\n" + head + "\n" + troff(text) + "\n")
}

// manFlag writes a flag, with its default if that says something.
func manFlag(b *bytes.Buffer, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	value, text := pflag.UnquoteUsage(f)
	head := `\fB` + troff("--"+f.Name) + `\fP`
	if f.Shorthand != "" {
		head = `\fB` + troff("-"+f.Shorthand) + `\fP, ` + head
	}
	if value != "" {
		head += ` \fI` + troff(value) + `\fP`
	}
	if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) {
		text += " (default " + f.DefValue + ")"
	}
	manItem(b, head, text)
}

// manFacts writes those of facts that concern cmd.
func manFacts(b *bytes.Buffer, cmd *cobra.Command, title string, facts []fact) {
	for _, f := range facts {
		if flag := cmd.Flags().Lookup(f.flag); cmd.HasParent() && (flag == nil || flag.Hidden) {
			continue
		}
		if title != "" {
			manSection(b, title)
			title = ""
		}
		manItem(b, troff(f.name), f.text)
	}
}

// manRefer writes which pages there are besides.
func manRefer(b *bytes.Buffer, cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, pageName(cmd.Parent())+"(1)")
	}
	for _, sub := range shownCommands(cmd) {
		pages = append(pages, pageName(sub)+"(1)")
	}
	pages = append(pages, manRelated[cmd.CommandPath()]...)
	manSection(b, "SEE ALSO")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		fmt.Fprintf(b, "\\fB%s\\fP(%s%s\n", troff(name), section, end)
	}
}

// manText writes the paragraphs of a help text. A paragraph that is indented is an
// example, and stays as it is.
func manText(b *bytes.Buffer, text string) {
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		if block = strings.Trim(block, "\n"); !strings.HasPrefix(block, "  ") && !strings.HasPrefix(block, "\t") {
			b.WriteString(".PP\n" + troff(strings.TrimPrefix(block, "#### ")) + "\n") // cobra's help has such headings
			continue
		}
		b.WriteString(".PP\n.RS 4\n.EX\n")
		for line := range strings.SplitSeq(block, "\n") {
			b.WriteString(troff(strings.TrimPrefix(strings.TrimPrefix(line, "  "), "\t")) + "\n")
		}
		b.WriteString(".EE\n.RE\n")
	}
}

// troffEscapes has the characters that troff would show as others, which could not be
// copied into a shell.
var troffEscapes = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`)

// troff returns text as troff shows it unchanged.
func troff(text string) string {
	lines := strings.Split(troffEscapes.Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") { // a request
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
