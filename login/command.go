package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"downloadfs/client"
	"downloadfs/download"
)

const (
	// commandTimeout is how long a command may take; a person may have to type.
	commandTimeout = 2 * time.Minute
	maxOutput      = 64 << 10
)

// PasswordCommand returns a source of the password that argv prints on its first line.
// No shell sees the command, and its standard input is empty.
func PasswordCommand(argv []string) client.PasswordSource {
	return func(ctx context.Context) (client.Secret, error) {
		out, err := run(ctx, argv)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(out, "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			return "", refusal("%s printed no password", filepath.Base(argv[0]))
		}
		return client.Secret(line), nil
	}
}

// TokenCommand returns a source of the token that argv prints: as it is, or as JSON
// with access_token and perhaps expires_in, as identity providers and their tools print
// it. A JSON Web Token holds its own expiry.
func TokenCommand(argv []string) client.TokenSource {
	return func(ctx context.Context, _ bool) (client.Token, error) {
		out, err := run(ctx, argv)
		if err != nil {
			return client.Token{}, err
		}
		token, ok := parseToken(out, time.Now())
		if !ok {
			return client.Token{}, refusal("%s printed no token", filepath.Base(argv[0]))
		}
		return token, nil
	}
}

func parseToken(out string, now time.Time) (client.Token, bool) {
	out = strings.TrimSpace(out)
	var t client.Token
	if strings.HasPrefix(out, "{") {
		var wire struct {
			AccessToken  string  `json:"access_token"`
			AccessToken2 string  `json:"accessToken"` // from the Azure and Google tools
			ExpiresIn    float64 `json:"expires_in"`
		}
		if json.Unmarshal([]byte(out), &wire) != nil {
			return t, false
		}
		out = wire.AccessToken + wire.AccessToken2
		if wire.ExpiresIn > 0 {
			t.Expiry = now.Add(time.Duration(wire.ExpiresIn * float64(time.Second)))
		}
	}
	// A text that cannot be in a header is no token.
	if out == "" || strings.ContainsFunc(out, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return t, false
	}
	t.Value = client.Secret(out)
	if t.Expiry.IsZero() {
		t.Expiry = claimsOf(out).expiry()
	}
	return t, true
}

// run runs a command and returns what it prints.
func run(ctx context.Context, argv []string) (string, error) {
	name := filepath.Base(argv[0])
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // for processes that it leaves behind
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrWaitDelay): // the command has ended and printed all of its output
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s did not end within %v: %w", name, commandTimeout, download.ErrUnavailable)
	case err != nil:
		if last := lastLine(stderr.String()); last != "" {
			return "", refusal("%s failed (%v): %s", name, err, last)
		}
		return "", refusal("%s failed: %v", name, err)
	}
	return stdout.String(), nil
}

// lastLine returns the last line of text: a command that fails usually says there why.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// limited keeps only the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// ReadFrom replaces the buffer's own, which io.Copy would use and which has no limit.
func (l *limited) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{l}, r)
}

// refused is an error that only a person can fix.
type refused struct{ text string }

func refusal(format string, args ...any) error { return &refused{fmt.Sprintf(format, args...)} }

func (e *refused) Error() string  { return e.text }
func (e *refused) Reason() string { return e.text }
func (e *refused) Unwrap() error  { return download.ErrUnauthorized }

// passes is an error that may pass.
type passes struct{ text string }

func passing(format string, args ...any) error { return &passes{fmt.Sprintf(format, args...)} }

func (e *passes) Error() string  { return e.text }
func (e *passes) Reason() string { return e.text }
func (e *passes) Unwrap() error  { return download.ErrUnavailable }
