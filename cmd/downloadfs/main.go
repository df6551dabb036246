// Command downloadfs mounts the Downloads of an Alfresco content server as a
// file system. It also gets archives without a mount, logs in, tells how a mount
// does, and serves a folder as such a server for trying and testing.
//
// Each subcommand has its own file. This package is the only one that reads
// flags and the environment. It has package config read the files, and hands every
// other package one small struct. Exit codes are in exit.go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"downloadfs/config"
)

func main() {
	if isAnnouncer(os.Args[0]) {
		os.Exit(runAnnouncer(os.Stdin, os.Stdout))
	}
	if isMountHelper(os.Args[0]) {
		os.Exit(runMountHelper(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes the command line and returns the exit code. It reports a failure in
// exactly one line on stderr. What cannot be written to stdout is a failure.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	out := &output{w: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.Execute()
	if out.err != nil && (err == nil || errors.Is(err, out.err)) {
		err = fmt.Errorf("cannot write to standard output: %w", cause(out.err))
	}
	if err != nil {
		if !errors.Is(err, errTold) {
			fmt.Fprintf(stderr, "downloadfs: %s\n", oneLine(err.Error()))
		}
		return exitCode(err)
	}
	return exitOK
}

func newRootCommand() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "downloadfs",
		Short: "Mount the Downloads of an Alfresco content server",
		Long: `downloadfs mounts the Downloads of an Alfresco content server as a file system:
write node ids to downloads/new, then read downloads/<id>/archive.zip.

Exit codes: 0 all is well, 1 something else, 2 wrong usage, 3 login refused,
4 server unreachable, 5 mountpoint cannot be used, 6 state or cache in use.`,
		Example: `  downloadfs login https://alfresco.example.com
  mkdir -p ~/alfresco
  downloadfs mount --daemon https://alfresco.example.com ~/alfresco
  echo /Sites/press/documentLibrary/Photos > ~/alfresco/downloads/new
  downloadfs status --watch
  unzip ~/alfresco/downloads/*/archive.zip
  downloadfs unmount ~/alfresco`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				return printVersion(cmd)
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applyEnvironment(cmd)
		},
	}
	root.SetFlagErrorFunc(flagError)
	// Cobra's own flag has no text but a template's, which costs the binary 4 MB:
	// with text/template the linker must keep every exported method.
	root.Flags().BoolVar(&showVersion, flagVersion, false, "print the version")
	root.AddCommand(
		newMountCommand(),
		newUnmountCommand(),
		newCacheCommand(),
		newShareCommand(),
		newGetCommand(),
		newStatusCommand(),
		newListCommand(),
		newBandwidthCommand(),
		newDoctorCommand(),
		newLoginCommand(),
		newLogoutCommand(),
		newConfigCommand(),
		newServeCommand(),
		newDemoCommand(),
		newVersionCommand(),
		newGenerateCommand(),
	)
	strictHelp(root)
	root.Args = usageArgs(root.Args)
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
		for _, sub := range c.Commands() {
			sub.Args = usageArgs(sub.Args)
		}
	}
	return root
}

// usageArgs turns a wrong number of arguments, or an unknown subcommand, into a usage
// error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		unknown := strings.HasPrefix(err.Error(), "unknown command ")
		switch {
		case unknown && cmd.HasSubCommands():
			return unknownCommand(cmd, args[:1])
		case unknown, strings.Contains(err.Error(), "arg(s)"):
			return exitf(exitUsage, "wrong number of arguments; write: %s; see '%s --help'", cmd.UseLine(), cmd.CommandPath())
		}
		return exitf(exitUsage, "%w; see '%s --help'", err, cmd.CommandPath())
	}
}

// unknownCommand is the usage error for words that should name a subcommand of parent.
func unknownCommand(parent *cobra.Command, words []string) error {
	var names []string
	for _, c := range parent.Commands() {
		names = append(names, c.Name())
	}
	path := append(strings.Fields(parent.CommandPath())[1:], words...)
	advice := fmt.Sprintf("see '%s --help'", parent.CommandPath())
	if near := config.Closest(words[0], names); near != "" {
		advice = fmt.Sprintf("did you mean %s?", near)
	}
	return exitf(exitUsage, "there is no command %q; %s", strings.Join(path, " "), advice)
}

// oneLine joins the lines of a message. It then stays one line for people and for
// programs that collect standard error.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
