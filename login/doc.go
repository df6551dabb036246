// Package login gets an account's password or token from where people keep it: a
// command, an OpenID Connect provider, Kerberos, the desktop's keyring or a private file.
// It gives package client sources, which get a new one when a login has ended.
//
// Errors wrap download.ErrUnauthorized when only a person can fix them, and
// download.ErrUnavailable when they may pass. None holds a secret.
package login
