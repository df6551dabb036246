package repository

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
)

// User is somebody who may log in.
type User struct {
	Name     string
	Password string // kept in memory only, never logged
	// Admin users read everything, including other users' homes and downloads. A user
	// called "admin" is always an administrator. If nobody is, the first user is.
	Admin bool
}

// LogValue keeps the password out of logs.
func (u User) LogValue() slog.Value { return slog.StringValue(u.Name) }

// String keeps the password out of messages.
func (u User) String() string { return u.Name }

// GoString keeps the password out of %#v.
func (u User) GoString() string { return "repository.User{Name:" + fmt.Sprintf("%q", u.Name) + "}" }

// Config says what a Repository serves, and how. The zero value of every field but
// Dir is a real server's default.
type Config struct {
	// Dir is the folder that is served as -root-. It is only read.
	Dir string
	// Users may log in. Empty means admin with the password admin.
	Users []User
	// ArchiveRate is how many bytes of content a second each download is zipped at. 0
	// means as fast as the machine can.
	ArchiveRate int64
	// MaxContentSize is the largest sum of content that is zipped, in bytes. 0 means
	// Alfresco's default of 2,152,852,358. Negative means no limit.
	MaxContentSize int64
	// DownloadMaxAge is the age at which the cleaner deletes downloads. 0 means 60
	// minutes.
	DownloadMaxAge time.Duration
	// CleanerInterval is how often the cleaner runs. 0 means every hour, or a quarter
	// of a DownloadMaxAge below an hour.
	CleanerInterval time.Duration
	// TicketMaxIdle is how long a ticket lives without use. 0 means one hour.
	TicketMaxIdle time.Duration
	// DataDir keeps zips, download nodes and deletions across restarts. It is created
	// with mode 0700 if it is missing. An existing one keeps its mode. The files in
	// it are for their owner only. Empty means a temporary directory that Close
	// removes. Neither may be Dir or in it: ErrDataServed.
	DataDir string
	// ZipThreads is how many downloads are zipped at once. 0 means 8. The others stay
	// PENDING.
	ZipThreads int
	// FailZipAfter makes every zip that reaches that many bytes of content die as a
	// real server's does: silently, its state unchanged for ever. 0 means never.
	FailZipAfter int64
	// ZipEra is the era of the zips. Empty means ZipNewer.
	ZipEra ZipEra
	// MaxZipEntry is the size from which a file makes its zip die as FailZipAfter
	// does. 0 means 4 GiB less one, as on a real server.
	MaxZipEntry int64
	// ContentRate is how many bytes of content a second each connection gets. 0 means
	// as fast as possible.
	ContentRate int64
	// SkipFails emulates a content store whose skip does not reach a range's start:
	// every range that does not start at 0 is a 206 without a body.
	SkipFails bool
	// SkipReads emulates object storage, where a skip costs as much as reading.
	// Before the first byte of a range, all content up to it is read at ContentRate.
	SkipReads bool
	// Refuse, if set, is called for every file to be zipped or read, with its path in
	// Dir. A result other than 0 is the status of the answer: 412 for content in cold
	// storage, 409 while a restore runs, 503 for an overloaded store.
	Refuse func(path string) int
	// Logger gets requests at Debug, the states of downloads at Info, and what the
	// API hides from its callers at Warn. Nil means no log.
	Logger *slog.Logger
}

const (
	defaultMaxContentSize = 2_152_852_358
	defaultDownloadMaxAge = time.Hour
	defaultTicketMaxIdle  = time.Hour
	// defaultZipThreads is the core size of Alfresco's pool for asynchronous actions.
	defaultZipThreads = 8
	minCleanerPause   = 100 * time.Millisecond
)

func (c *Config) setDefaults() {
	if len(c.Users) == 0 {
		c.Users = []User{{Name: "admin", Password: "admin", Admin: true}}
	}
	if c.MaxContentSize == 0 {
		c.MaxContentSize = defaultMaxContentSize
	}
	if c.DownloadMaxAge <= 0 {
		c.DownloadMaxAge = defaultDownloadMaxAge
	}
	if c.CleanerInterval <= 0 {
		c.CleanerInterval = time.Hour
		if c.DownloadMaxAge < time.Hour {
			c.CleanerInterval = max(c.DownloadMaxAge/4, minCleanerPause)
		}
	}
	if c.TicketMaxIdle <= 0 {
		c.TicketMaxIdle = defaultTicketMaxIdle
	}
	if c.ZipThreads <= 0 {
		c.ZipThreads = defaultZipThreads
	}
	if c.ZipEra == "" {
		c.ZipEra = ZipNewer
	}
	if c.MaxZipEntry <= 0 {
		c.MaxZipEntry = zip32Max
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// zipFormat returns how zips are made. Their DOS times are in this machine's time
// zone, as a real server's are in its own.
func (c *Config) zipFormat() zipFormat {
	return zipFormat{c.ZipEra, time.Local, c.MaxZipEntry}
}

// validate reports settings that a server could not run with. The error holds no
// password.
func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("no folder to serve")
	}
	switch c.ZipEra {
	case "", ZipNewer, ZipOlder:
	default:
		return fmt.Errorf("zip era %q is not one of %s, %s", c.ZipEra, ZipNewer, ZipOlder)
	}
	seen := make(map[string]bool, len(c.Users))
	for _, u := range c.Users {
		switch {
		case u.Name == "" || isTicketUser(u.Name) || u.Name == "." || u.Name == ".." ||
			strings.ContainsAny(u.Name, ":/") || strings.ContainsFunc(u.Name, unicode.IsControl):
			return fmt.Errorf("user %q: not a user name", u.Name)
		case u.Password == "":
			return fmt.Errorf("user %q: no password", u.Name)
		case seen[u.Name]:
			return fmt.Errorf("user %q: given twice", u.Name)
		}
		seen[u.Name] = true
	}
	return nil
}
