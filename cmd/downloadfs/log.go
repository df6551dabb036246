package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logOptions are the flags of every subcommand that logs.
type logOptions struct {
	level  string
	format string
}

func (o *logOptions) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.level, "log-level", "info", "what to log on standard error: debug, info, warn or error")
	cmd.Flags().StringVar(&o.format, "log-format", "text", "how to log: text or json")
}

// logger returns the logger that the flags ask for, writing to w.
func (o *logOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, exitf(exitUsage, "--log-level %q is not one of debug, info, warn, error", o.level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, exitf(exitUsage, "--log-format %q is not one of text, json", o.format)
}
