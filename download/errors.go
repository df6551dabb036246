package download

import (
	"errors"

	"downloadfs/download/journal"
)

// The sentinel errors of the domain. Errors are wrapped with verb and subject; test for
// them with errors.Is. The content server's HTTP becomes a sentinel only in
// client/errors.go, and a sentinel becomes an errno only in fs/errno.go.
var (
	// ErrInvalid: the request is malformed; the server would answer 400.
	ErrInvalid = errors.New("invalid request")
	// ErrName: a download's directory cannot have this name.
	ErrName = errors.New("not a name for a download")
	// ErrNameText: the name is not UTF-8 text.
	ErrNameText = errors.New("not UTF-8 text")
	// ErrNotFound: the server does not know the node, path or download (404).
	ErrNotFound = errors.New("not found")
	// ErrUnauthorized: the server does not accept the credentials (401).
	ErrUnauthorized = errors.New("login refused")
	// ErrForbidden: the user may not read this node or download (403).
	ErrForbidden = errors.New("permission denied")
	// ErrArchived: content is in cold storage and must be restored first (412).
	ErrArchived = errors.New("content is in cold storage")
	// ErrConflict: a restore of the content is running (409).
	ErrConflict = errors.New("content is being restored")
	// ErrUnavailable: the server could not be reached, or said 5xx or 429, until
	// the retry budget was used up.
	ErrUnavailable = errors.New("server unavailable")
	// ErrServerFailed: the server was reached, failed (500), and has undone what it had
	// begun. The request must not be sent again automatically.
	ErrServerFailed = errors.New("the server failed")
	// ErrUncertain: a request that must not be repeated blindly was sent but its answer
	// was lost. It may or may not have had its effect.
	ErrUncertain = errors.New("answer lost")
	// ErrProtocol: no Alfresco server gives this answer.
	ErrProtocol = errors.New("unexpected answer")

	// ErrCancelled: the download was cancelled or removed.
	ErrCancelled = errors.New("download cancelled")
	// ErrTooLarge: the content is over the server's size limit.
	ErrTooLarge = errors.New("over the server's size limit")
	// ErrExpired: the server has deleted the download and the archive is not
	// wholly in the cache.
	ErrExpired = errors.New("download expired")
	// ErrStalled: the download has made no progress for the stall timeout.
	ErrStalled = errors.New("no progress")
	// ErrInternal: a panic was caught. One download or request list is in trouble; the
	// mount is not.
	ErrInternal = errors.New("internal error; the log says more")
	// ErrChanged: the archive is not the one seen before (its total size changed).
	ErrChanged = errors.New("archive changed on the server")

	// ErrNotReady: the archive cannot be opened yet; the download is not DONE.
	ErrNotReady = errors.New("not ready yet")
	// ErrListTooLong: the request list is over [MaxListBytes], or longer than the
	// server or a proxy in front of it accepts.
	ErrListTooLong = errors.New("request list too long")
	// ErrExists: the name is taken.
	ErrExists = errors.New("name exists")
	// ErrClosed: the Manager is closing (the mount is being unmounted).
	ErrClosed = errors.New("unmounting")
	// ErrLocked: another process uses this journal or cache.
	ErrLocked = journal.ErrLocked
	// ErrDamaged: the journal cannot be read; the text says what to do.
	ErrDamaged = journal.ErrDamaged
)
