package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"downloadfs/config"
)

// valueError is a value that a flag can take but that cannot be right.
type valueError struct{ flag, text string }

func (e *valueError) Error() string { return "--" + e.flag + " " + e.text }

// badValue makes a valueError, which is a usage error.
func badValue(flag, format string, args ...any) error {
	return exitf(exitUsage, "%w", &valueError{flag, fmt.Sprintf(format, args...)})
}

// remedy says what is wrong with a value that f does not take. err is what its Set has
// returned.
func remedy(f *pflag.Flag, err error) string {
	switch f.Value.Type() {
	case "bool":
		return "write true or false"
	case "duration":
		return "write a number with its unit, like 5s or 10m"
	}
	if why := errors.Unwrap(err); why != nil {
		return why.Error()
	}
	return err.Error()
}

// errPasswordValue is for who gives a password to the switch that has it asked for.
var errPasswordValue = exitf(exitUsage, "--password takes no value: every local user sees a command line; leave the value out, and the password is asked for")

// itemRoots are what a path in the repository may begin with besides a slash.
var itemRoots = []string{"-root-", "-my-", "-shared-"}

// flagError makes the usage error for what pflag says about the command line.
func flagError(cmd *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if bad.GetFlag().Name == flagPassword { // it may be one
			return errPasswordValue
		}
		return exitf(exitUsage, "invalid value %q for --%s: %s", bad.GetValue(), bad.GetFlag().Name, remedy(bad.GetFlag(), err))
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if item := "-" + unknown.GetSpecifiedShortnames(); slices.ContainsFunc(itemRoots, func(root string) bool { return strings.HasPrefix(item, root) }) {
			return exitf(exitUsage, "%s looks like a flag; write it after --, as in '%s -- %s'", item, cmd.CommandPath(), shellquote.Join(item))
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := config.Closest(unknown.GetSpecifiedName(), names); near != "" {
			err = fmt.Errorf("%w; did you mean --%s?", err, near)
		}
	}
	return exitf(exitUsage, "%w; see '%s --help'", err, cmd.CommandPath())
}

// oneOf returns an error if value is none of words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return badValue(flag, "%q is not one of %s", value, strings.Join(words, ", "))
}

// located puts before each valueError that err joins where the flag has its value
// from, unless that is the command line.
func located(flags *pflag.FlagSet, err error) error {
	var errs []error
	for _, err := range separate(err) {
		if v, ok := errors.AsType[*valueError](err); ok {
			if from := origin(flags.Lookup(v.flag)); from != "" && !strings.HasPrefix(from, "--") {
				err = exitf(exitUsage, "%s: %w", from, err)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// separate returns the errors that err joins.
func separate(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, separate(e)...)
	}
	return errs
}
