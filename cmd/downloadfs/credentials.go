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

	"downloadfs/client"
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
}

// readCredentials takes the credentials from the environment, or the password
// from passwordFile when it is not empty. The password leaves the environment,
// so that no child process inherits it.
func readCredentials(passwordFile string) (credentials, error) {
	username, password := os.Getenv(envUsername), os.Getenv(envPassword)
	if err := os.Unsetenv(envPassword); err != nil {
		return credentials{}, fmt.Errorf("unset %s: %w", envPassword, err)
	}
	if passwordFile != "" {
		var err error
		if password, err = readPasswordFile(passwordFile); err != nil {
			return credentials{}, err
		}
	}
	if username == "" && !strings.HasPrefix(password, "TICKET_") { // a ticket names its user
		return credentials{}, exitf(exitUsage, "no user name: set %s (and %s, or give --password-file)", envUsername, envPassword)
	}
	if password == "" {
		return credentials{}, exitf(exitUsage, "no password for %s: set %s or give --password-file", username, envPassword)
	}
	return credentials{username: username, password: client.Secret(password)}, nil
}

// readPasswordFile returns the first line of a file that others can neither
// read nor write.
func readPasswordFile(name string) (string, error) {
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
	return strings.TrimSuffix(line, "\r"), nil
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

// parseServerURL checks the server's URL as given on the command line. Its
// errors never repeat the URL, which may hold a secret.
func parseServerURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, exitf(exitUsage, "the server URL cannot be read; write it like https://alfresco.example.com")
	}
	if u.User != nil || u.Query().Has("alf_ticket") {
		return nil, exitf(exitUsage, "%w", errURLSecret)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, exitf(exitUsage, "the server URL must be like https://alfresco.example.com, not %q", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, exitf(exitUsage, "the server URL must not have a query or a fragment")
	}
	return u, nil
}
