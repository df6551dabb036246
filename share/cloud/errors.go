package cloud

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"downloadfs/share"
)

var (
	// errConflict means that the store does not know yet which of two creations wins.
	errConflict = errors.New("another creation is on its way")
	// errBeyond means that a range begins at the end of an object, or behind it.
	errBeyond = errors.New("the range is behind the end")
)

// failure is an error of a store. Its text is one line and holds no secret.
type failure struct {
	text string
	errs []error // what it is, and what the SDK said
}

// Error implements error.
func (f *failure) Error() string { return f.text }

// Unwrap makes errors.Is and errors.As work.
func (f *failure) Unwrap() []error { return f.errs }

// failed says what went wrong with an object.
func (b *bucket) failed(verb, key string, err error) error {
	status, name := b.told(err)
	f := &failure{errs: []error{err}}
	is := func(kind error) { f.errs = append([]error{kind}, f.errs...) }
	switch {
	case status == 0:
		f.text = fmt.Sprintf("%s %s: %v", verb, key, withoutSecrets(err))
		if b.badLogin != nil && b.badLogin(err) {
			is(share.ErrRefused)
			f.text = fmt.Sprintf("%s %s: no login works; %s: %v", verb, key, b.howToLogin, withoutSecrets(err))
		}
		return f
	case status == http.StatusNotFound && (verb == "create" || verb == "list" || missingBucket[name]):
		is(share.ErrRefused)
		f.text = verb + " " + key + ": there is no such bucket"
		return f
	case status == http.StatusNotFound:
		is(iofs.ErrNotExist)
	case status == http.StatusPreconditionFailed, name == "BlobAlreadyExists":
		is(iofs.ErrExist)
	case status == http.StatusConflict:
		is(errConflict)
	case status == http.StatusRequestedRangeNotSatisfiable:
		is(errBeyond)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
	case status >= 300 && status < 500:
		is(share.ErrRefused)
	}
	f.text = strings.TrimSpace(fmt.Sprintf("%s %s: the store answers %d %s", verb, key, status, name))
	return f
}

// missingBucket are the names that stores have for a missing bucket.
var missingBucket = map[string]bool{"NoSuchBucket": true, "ContainerNotFound": true}

// query finds the query of a URL, in which Azure has a signature.
var query = regexp.MustCompile(`(\w://[^\s"'?]*)\?[^\s"']*`)

// gocloud finds what gocloud puts before the text of an SDK.
var gocloud = regexp.MustCompile(`^blob (\(key "[^"]*"\) )?\(code=\w+\): `)

// maxText bounds what an SDK may say, in bytes. Some repeat all that they have tried.
const maxText = 400

// withoutSecrets returns an error with one line of err's text, and without the queries
// of URLs in it.
func withoutSecrets(err error) error {
	text := err.Error()
	var u *url.Error
	if errors.As(err, &u) {
		text = u.Err.Error() // the URL says nothing new
	}
	text = gocloud.ReplaceAllString(text, "")
	text = query.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return &failure{text, []error{err}}
}
