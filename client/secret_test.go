package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proves S-66.
func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "Pa55word"
	s := Secret(text)
	require.Equal(t, text, s.Reveal())

	cfg := Config{URL: "https://ecm.example.org", Username: "admin", Password: s}
	c := newClient(t, cfg)
	var printed []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10s", "%T %v"} {
		printed = append(printed, fmt.Sprintf(verb, s), fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, &cfg),
			fmt.Sprintf(verb, []Secret{s}), fmt.Sprintf(verb, c), fmt.Sprintf(verb, struct{ c *Client }{c}))
	}
	asJSON, err := json.Marshal(map[string]any{"password": s, "cfg": cfg.Password, "p": &s})
	require.NoError(t, err)
	printed = append(printed, string(asJSON))
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("x", "password", s, "password pointer", &s, "cfg", cfg.Password)
		printed = append(printed, b.String())
		require.Contains(t, b.String(), redacted)
	}
	for _, p := range printed {
		require.NotContains(t, p, text)
		require.NotContains(t, p, fmt.Sprintf("%x", text))
	}
}
