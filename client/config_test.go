package client

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

func TestConfigDefaults(t *testing.T) {
	cfg, err := Config{Username: "u", Password: "p"}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, 30*time.Second, cfg.IdleTimeout)
	require.Equal(t, 2*time.Minute, cfg.MaxElapsed)
	require.NotNil(t, cfg.Logger)

	cfg, err = Config{Username: "u", Password: "p", MaxElapsed: -1, IdleTimeout: time.Second}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, time.Duration(-1), cfg.MaxElapsed)
	require.Equal(t, time.Second, cfg.IdleTimeout)
}

func TestNewRefuses(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("no certificate"), 0o600))
	base := Config{URL: "https://ecm.example.org", Username: "bob", Password: "sesame"}
	for says, change := range map[string]func(*Config){
		"ALFRESCO_USERNAME":        func(c *Config) { c.Username = "" },
		"ALFRESCO_PASSWORD":        func(c *Config) { c.Password = "" },
		"colon":                    func(c *Config) { c.Username = "a:b" },
		"no server URL":            func(c *Config) { c.URL = "" },
		"--allow-http":             func(c *Config) { c.URL = "http://ecm.example.org" },
		"no such file":             func(c *Config) { c.CACert = junk + ".not" },
		"holds no PEM certificate": func(c *Config) { c.CACert = junk },
	} {
		cfg := base
		change(&cfg)
		_, err := New(cfg)
		require.ErrorIs(t, err, download.ErrInvalid, says)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "sesame")
	}
}
