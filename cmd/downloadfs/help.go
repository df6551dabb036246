package main

import "github.com/spf13/cobra"

// strictHelp makes help and completion refuse words that they do not know. Cobra's
// own print a help text and succeed.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			show := c.Run
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if parent, unknown, err := root.Find(args); err != nil || len(unknown) > 0 {
					return unknownCommand(parent, unknown)
				}
				show(cmd, args)
				return nil
			}
		case "completion":
			c.Use = "completion bash|zsh|fish"
			c.Short = "Print what completes commands, flags, profiles and paths in a shell"
			for _, shell := range c.Commands() {
				if shell.Name() == "powershell" { // nobody has tried it
					c.RemoveCommand(shell)
				}
			}
			c.RunE = func(cmd *cobra.Command, _ []string) error {
				return exitf(exitUsage, "say for which shell: bash, zsh or fish; see '%s --help'", cmd.CommandPath())
			}
		}
	}
}
