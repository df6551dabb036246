package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// valueError is a value that a flag can take but that cannot be right.
type valueError struct{ flag, text string }

func (e *valueError) Error() string { return "--" + e.flag + " " + e.text }

// badValue makes a valueError, which is a usage error.
func badValue(flag, format string, args ...any) error {
	return exitf(exitUsage, "%w", &valueError{flag, fmt.Sprintf(format, args...)})
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
