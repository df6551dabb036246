package main

import (
	"errors"
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

// check rejects values that cannot be right.
func (o *logOptions) check() error {
	var level slog.Level
	errs := []error{oneOf("log-format", o.format, "text", "json")}
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		errs = append(errs, badValue("log-level", "%q is not one of debug, info, warn, error", o.level))
	}
	return errors.Join(errs...)
}

// logger returns the logger that the flags ask for, writing to w.
func (o *logOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := errors.Join(o.check(), level.UnmarshalText([]byte(o.level))); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(w, opts)
	if o.format == "json" {
		handler = slog.NewJSONHandler(w, opts)
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
