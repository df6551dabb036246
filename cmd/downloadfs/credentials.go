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

// maxPasswordFile is the largest part of a file with a secret that is read.
const maxPasswordFile = 64 << 10

// takeEnvironment returns a secret from the environment and removes it there, so no
// child process inherits it.
func takeEnvironment(name string) (client.Secret, error) {
	secret := client.Secret(os.Getenv(name))
	if err := os.Unsetenv(name); err != nil {
		return "", fmt.Errorf("unset %s: %w", name, err)
	}
	return secret, nil
}

// readPasswordFile returns the first line of a file that others can neither read nor
// write. flag is the flag that named the file, for errors.
func readPasswordFile(name, flag string) (client.Secret, error) {
	text, err := readPrivateFile(name, flag, 0o027)
	return firstLine(text), err
}

// readPrivateFile returns what is in a file whose mode has no bit of exposed. flag is
// the flag that named the file, for errors.
func readPrivateFile(name, flag string, exposed iofs.FileMode) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, exitf(exitUsage, "cannot read %s: %w", flag, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, exitf(exitUsage, "cannot read %s: %w", flag, err)
	}
	// A pipe, such as the shell makes for <(…), is private whatever its mode is.
	if info.Mode().IsRegular() && info.Mode().Perm()&exposed != 0 {
		return nil, exitf(exitUsage, "others can read or write %s %s; run: chmod 600 %s", flag, name, name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPasswordFile))
	if err != nil {
		return nil, exitf(exitUsage, "cannot read %s: %w", flag, err)
	}
	return text, nil
}

// firstLine returns the secret in a text: its first line.
func firstLine(text []byte) client.Secret {
	line, _, _ := strings.Cut(withoutMark(text), "\n")
	return client.Secret(strings.TrimSuffix(line, "\r"))
}

// withoutMark removes the byte-order mark that editors on Windows put before a text.
// It converts UTF-16 to UTF-8 if the mark says that the text is UTF-16.
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

var errURLSecret = errors.New("the server URL holds a user name, a password or a ticket, which every local user can see; set " +
	envUsername + " and " + envPassword + " in the environment")

// holdsSecret reports whether a URL on the command line holds a login. Anything else than
// a URL does not.
func holdsSecret(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.User != nil || u.Query().Has("alf_ticket") || strings.Contains(text, "TICKET_"))
}

// parseServerURL parses the server's URL on the command line. Its errors never repeat
// the URL, which may hold a secret.
func parseServerURL(text string) (*url.URL, error) {
	if holdsSecret(text) {
		return nil, exitf(exitUsage, "%w", errURLSecret)
	}
	if u, err := url.Parse(text); err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "") {
		return nil, exitf(exitUsage, "%q is not a server URL; write it like https://alfresco.example.com", u.Redacted())
	}
	// People give any of the server's addresses, such as the one in their browser.
	server, err := client.ServerURL(text)
	if err != nil {
		return nil, exitf(exitUsage, "%w", err)
	}
	return server, nil
}
