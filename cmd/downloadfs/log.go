package main

import (
	"io"
	stdlog "log"
	"log/slog"
	"strings"

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
	var handler slog.Handler
	switch o.format {
	case "text":
		handler = slog.NewTextHandler(w, opts)
	case "json":
		handler = slog.NewJSONHandler(w, opts)
	default:
		return nil, exitf(exitUsage, "--log-format %q is not one of text, json", o.format)
	}
	log := slog.New(handler)
	stdlog.SetFlags(0)
	stdlog.SetOutput(libraries{log})
	return log, nil
}

// libraries takes what libraries write to the standard logger. For example, net/http
// reports servers that answer unasked. It drops quoted text, which could hold a
// secret.
type libraries struct{ log *slog.Logger }

func (l libraries) Write(p []byte) (int, error) {
	text, _, _ := strings.Cut(string(p), `"`)
	l.log.Warn("a library reports", "op", "log", "text", strings.TrimSpace(text))
	return len(p), nil
}
