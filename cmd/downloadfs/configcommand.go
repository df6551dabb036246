package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"downloadfs/client"
	"downloadfs/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config show|check",
		Short: "Show and check the configuration",
		Long: `A mount takes its settings from flags, environment variables (--cache-size is
DOWNLOADFS_CACHE_SIZE), a profile, and the defaults of the configuration files. The
first of these that has a value counts. A file looks like this:

  defaults:
    cache-size: 20G
  profiles:
    work:
      url: https://alfresco.example.com
      mountpoint: ~/alfresco
      username: finn

It is ~/.config/downloadfs/config.yaml, or for all users ` + systemConfig + `;
your own file goes before that one. Each flag of mount is a key; so are url, mountpoint,
password and client-secret. Then 'downloadfs mount work' mounts the profile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exitf(exitUsage, "say what to do with the configuration: show or check; see '%s --help'", cmd.CommandPath())
		},
	}
	cmd.AddCommand(newConfigShowCommand(), newConfigCheckCommand())
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	var o mountOptions
	var origins bool
	cmd := &cobra.Command{
		Use:   "show [flags] [PROFILE]",
		Short: "Print what mount would use, given the same flags",
		Args:  cobra.MaximumNArgs(1),

		ValidArgsFunction: completeProfiles,
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&origins, "origin", false, "say where each value is from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rest, err := applyProfile(cmd, strings.Join(args, ""))
		if err != nil {
			return err
		}
		return showConfig(cmd.OutOrStdout(), cmd.Flags(), rest, origins)
	}
	return cmd
}

// showConfig writes the configuration as YAML, with the origins as comments.
func showConfig(w io.Writer, flags *pflag.FlagSet, rest config.Section, origins bool) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(key, value, from string) error {
		text, err := yaml.Marshal(map[string]string{key: value})
		if err != nil {
			return err
		}
		shown := strings.TrimSuffix(string(text), "\n")
		if origins {
			shown += "\t# " + from
		}
		_, err = fmt.Fprintln(table, shown)
		return err
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		value := settingText(rest[key])
		if key == keyPassword || key == keySecret {
			value = client.Secret(value).String()
		}
		errs = append(errs, line(key, value, rest[key].Origin))
	}
	flags.VisitAll(func(f *pflag.Flag) {
		from := origin(f)
		if f.Name == "origin" || f.Name == "help" || f.Name == "config" || f.Hidden && from == "" {
			return
		}
		if from == "" {
			from = "default"
		}
		errs = append(errs, line(f.Name, f.Value.String(), from))
	})
	return errors.Join(append(errs, table.Flush())...)
}

func newConfigCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Check the configuration files and the environment",
		Long: `check reads the configuration files as mount does. It prints a line for each problem,
or a line for each file that is right. The exit code is 2 if there is a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return checkConfig(cmd) },
	}
	addConfigFlag(cmd.Flags())
	return cmd
}

func checkConfig(cmd *cobra.Command) error {
	w := cmd.OutOrStdout()
	stack, err := readConfig(cmd)
	problems := append(unknownVariables(cmd.Root()), badVariables()...)
	if err != nil {
		problems = append(problems, strings.Split(err.Error(), "\n")...)
	}
	for _, f := range stack {
		for _, p := range checkFile(f) {
			problems = append(problems, p.Error())
		}
	}
	problems = append(problems, checkTogether(stack)...)
	for _, f := range stack {
		if err == nil && len(problems) == 0 {
			fmt.Fprintf(w, "%s: %s\n", f.Path, fileSummary(f))
		}
	}
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	switch len(problems) {
	case 0:
		return nil
	case 1:
		return exitf(exitUsage, "there is a problem with the configuration")
	}
	return exitf(exitUsage, "there are %d problems with the configuration", len(problems))
}

func fileSummary(f *config.File) string {
	names := config.Stack{f}.Names()
	switch {
	case len(names) > 0:
		return "right; profiles: " + strings.Join(names, ", ")
	case len(f.Defaults) > 0:
		return "right; no profiles"
	}
	return "missing or empty"
}

// checkFile tries each section on its own mount command. It returns what is wrong with
// single values.
func checkFile(f *config.File) []error {
	var errs []error
	try := func(section config.Section) {
		var o mountOptions
		cmd := &cobra.Command{}
		o.addFlags(cmd)
		rest, err := applySection(cmd, section)
		errs = append(errs, separate(err)...)
		for _, err := range separate(located(cmd.Flags(), o.check())) {
			if _, ok := errors.AsType[*valueError](err); ok {
				errs = append(errs, err)
			}
		}
		if s, ok := rest[keyURL]; ok {
			if _, err = parseServerURL(s.Words[0]); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", s.Origin, err))
			}
		}
	}
	try(f.Defaults)
	for _, name := range (config.Stack{f}).Names() {
		try(f.Profiles[name])
	}
	return errs
}

// checkTogether tries each profile as mount does, with the defaults of all files. It
// returns what is wrong with values that go together.
func checkTogether(stack config.Stack) (problems []string) {
	for _, name := range append(stack.Names(), "") {
		var o mountOptions
		cmd := &cobra.Command{}
		o.addFlags(cmd)
		section, _ := stack.Profile(name, loginWays...)
		// badVariables has the errors of the one, and checkFile those of the other.
		_ = applyEnvironment(cmd)
		rest, _ := applySection(cmd, section)
		_, twoLogins := o.way(cmd, target{settings: rest}, "")
		for _, err := range separate(errors.Join(o.check(), twoLogins)) {
			if _, ok := errors.AsType[*valueError](err); ok || name == "" && len(problems) > 0 {
				continue // the same, or it is in the defaults and each profile has it
			}
			of := "the defaults"
			if name != "" {
				of = "profile " + name
			}
			problems = append(problems, fmt.Sprintf("%s: %v", of, err))
		}
	}
	return problems
}

// badVariables lists the variables whose value a command would refuse.
func badVariables() []string {
	var o mountOptions
	mount := &cobra.Command{}
	o.addFlags(mount)
	problems := []string{}
	add := func(err error) {
		for _, e := range separate(err) {
			if text := e.Error(); !slices.Contains(problems, text) {
				problems = append(problems, text)
			}
		}
	}
	add(applyEnvironment(mount))
	for _, err := range separate(o.check()) {
		// Other errors are about several flags, and one of them may be in a file.
		if _, ok := errors.AsType[*valueError](err); ok {
			add(located(mount.Flags(), err))
		}
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		add(applyEnvironment(cmd))
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRootCommand())
	return problems
}

// warnOfVariables logs which variables look like a flag's but belong to none.
func warnOfVariables(root *cobra.Command, log *slog.Logger) {
	for _, problem := range unknownVariables(root) {
		log.Warn("a variable of the environment is ignored", "op", "start", "err", problem)
	}
}

// tellOfVariables is warnOfVariables for a person.
func tellOfVariables(cmd *cobra.Command) {
	for _, problem := range unknownVariables(cmd.Root()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "downloadfs: %s; it is ignored\n", problem)
	}
}

// unknownVariables lists variables that look like a flag's but belong to none.
func unknownVariables(root *cobra.Command) []string {
	names := []string{envServeUsers}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !notFromEnvironment[f.Name] {
				names = append(names, envName(f.Name))
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	var problems []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "DOWNLOADFS_") || slices.Contains(names, name) {
			continue
		}
		problem := name + ": there is no such flag"
		near := config.Closest(name, names)
		if name == envName(flagPassword) {
			near = envPassword
		}
		if near != "" {
			problem += "; did you mean " + near + "?"
		}
		problems = append(problems, problem)
	}
	return problems
}
