// Package login gets what an account logs in with from where people keep it: a
// command, an OpenID Connect provider, the desktop's keyring or a private file.
// It gives package client sources, which ask again when a login has ended.
//
// Errors wrap download.ErrUnauthorized when only a person can mend them, and
// download.ErrUnavailable when they may pass. None holds a secret.
package login
