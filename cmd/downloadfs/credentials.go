package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/url"
	"os"
	"strings"
	"unicode/utf16"

	"github.com/spf13/pflag"

	"downloadfs/client"
	"downloadfs/config"
)

// The environment variables that hold the credentials.
const (
	envUsername = "ALFRESCO_USERNAME"
	envPassword = "ALFRESCO_PASSWORD"
)

// maxPasswordFile bounds what is read of a password file.
const maxPasswordFile = 64 << 10

// credentials are what a server is logged in to with.
type credentials struct {
	username string
	password client.Secret
	source   string // where they are from, for a sentence
}

// takeEnvironment returns a secret of the environment, which it leaves, so that
// no child process inherits it.
func takeEnvironment(name string) (client.Secret, error) {
	secret := client.Secret(os.Getenv(name))
	if err := os.Unsetenv(name); err != nil {
		return "", fmt.Errorf("unset %s: %w", name, err)
	}
	return secret, nil
}

// loginOptions are the flags that say who logs in, and with what.
type loginOptions struct {
	username     string
	passwordFile string
}

func (o *loginOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.username, "username", "", "the account's name; without it, "+envUsername)
	f.StringVar(&o.passwordFile, "password-file", "", "read the password from the first line of this file, which others must not be able to read")
}

// read returns the credentials. Of the flags, the environment and the
// configuration, the first that has a password counts; fromEnv is the
// environment's, and settings are those of the configuration that are no flags.
func (o *loginOptions) read(flags *pflag.FlagSet, fromEnv client.Secret, settings config.Section) (credentials, error) {
	c := credentials{username: o.username, source: origin(flags.Lookup("username"))}
	if name := os.Getenv(envUsername); name != "" && (c.username == "" || fromFile(flags.Lookup("username"))) {
		c.username, c.source = name, envUsername
	}
	file, inConfig := flags.Lookup("password-file"), settings[keyPassword]
	var from string
	switch {
	case o.passwordFile != "" && !fromFile(file), o.passwordFile != "" && fromEnv == "":
		password, err := readPasswordFile(o.passwordFile)
		if err != nil {
			return credentials{}, err
		}
		c.password, from = password, o.passwordFile
	case fromEnv != "":
		c.password, from = fromEnv, envPassword
	case len(inConfig.Words) > 0:
		c.password, from = client.Secret(inConfig.Words[0]), inConfig.Origin
	}
	if c.username == "" && !strings.HasPrefix(c.password.Reveal(), "TICKET_") { // a ticket names its user
		return credentials{}, exitf(exitUsage, "no user name: set %s (and %s, or give --password-file)", envUsername, envPassword)
	}
	if c.password == "" {
		return credentials{}, exitf(exitUsage, "no password for %s: set %s or give --password-file", c.username, envPassword)
	}
	if c.source == "" {
		c.source = from
	} else {
		c.source += " and " + from
	}
	return c, nil
}

// fromFile reports whether a flag's value is from a configuration file.
func fromFile(f *pflag.Flag) bool {
	from := origin(f)
	return from != "" && !strings.HasPrefix(from, "--") && !strings.HasPrefix(from, "DOWNLOADFS_")
}

// readPasswordFile returns the first line of a file that others can neither
// read nor write.
func readPasswordFile(name string) (client.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", exitf(exitUsage, "cannot read --password-file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", exitf(exitUsage, "cannot read --password-file: %w", err)
	}
	// A pipe, as the shell's <(…) makes one, is private whatever its mode says.
	const exposed iofs.FileMode = 0o027
	if info.Mode().IsRegular() && info.Mode().Perm()&exposed != 0 {
		return "", exitf(exitUsage, "others can read or write --password-file %s; run: chmod 600 %s", name, name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPasswordFile))
	if err != nil {
		return "", exitf(exitUsage, "cannot read --password-file: %w", err)
	}
	line, _, _ := strings.Cut(withoutMark(text), "\n")
	return client.Secret(strings.TrimSuffix(line, "\r")), nil
}

// withoutMark returns a text without the byte-order mark that editors on Windows
// put before it, and as UTF-8 if the mark says that it is UTF-16.
func withoutMark(text []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return strings.TrimPrefix(string(text), "\ufeff")
	}
	var units []uint16
	for at := 2; at+1 < len(text); at += 2 {
		units = append(units, order.Uint16(text[at:]))
	}
	return string(utf16.Decode(units))
}

var errURLSecret = errors.New("credentials do not belong into the URL, where every local user can see them; set " +
	envUsername + " and " + envPassword + " in the environment")

// parseServerURL finds the server whose address is on the command line. Its
// errors never repeat the URL, which may hold a secret.
func parseServerURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, exitf(exitUsage, "the server URL cannot be read; write it like https://alfresco.example.com")
	}
	if u.User != nil || u.Query().Has("alf_ticket") || strings.Contains(text, "TICKET_") {
		return nil, exitf(exitUsage, "%w", errURLSecret)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, exitf(exitUsage, "the server URL must be like https://alfresco.example.com, not %q", u.Redacted())
	}
	// Whatever address of it a person has: a browser's, say.
	server, err := client.ServerURL(text)
	if err != nil {
		return nil, exitf(exitUsage, "%w", err)
	}
	return server, nil
}
