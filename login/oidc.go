package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"downloadfs/client"
	"downloadfs/download"
)

// DefaultClient is the public client of the Alfresco Identity Service.
const DefaultClient = "alfresco"

// defaultScopes are requested if no others are given. With offline_access a login
// outlives the person's session at the provider, as a mount does.
var defaultScopes = []string{"openid", "offline_access"}

// DefaultIssuer returns the address of a server's Alfresco Identity Service.
func DefaultIssuer(server *url.URL) string {
	return server.Scheme + "://" + server.Host + "/auth/realms/alfresco"
}

// OIDC is an OpenID Connect provider, as its client sees it.
type OIDC struct {
	Issuer string
	Client string
	Secret client.Secret // of a confidential client
	Scopes []string      // passed on unchanged; empty: those of the Alfresco Identity Service
	HTTP   *http.Client
}

// endpoints are what a provider publishes about itself.
type endpoints struct {
	Issuer string `json:"issuer"`
	Token  string `json:"token_endpoint"`
	Device string `json:"device_authorization_endpoint"`
}

// ErrNoProvider: no OpenID Connect provider answers at the issuer's address.
var ErrNoProvider = errors.New("no OpenID Connect provider")

// discover asks the provider for its addresses.
func (o OIDC) discover(ctx context.Context) (endpoints, error) {
	var e endpoints
	address := strings.TrimSuffix(o.Issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return e, refusal("the issuer is not a URL; write it like https://sso.example.com/realms/alfresco")
	}
	resp, err := o.HTTP.Do(req)
	if err != nil {
		return e, o.unreachable(err)
	}
	defer resp.Body.Close()
	switch body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20)); {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return e, fmt.Errorf("%w: the identity provider answers %d", download.ErrUnavailable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK, err != nil, json.Unmarshal(body, &e) != nil, e.Token == "":
		return e, fmt.Errorf("%w: %w", ErrNoProvider, refusal("there is no OpenID Connect provider at %s (%d); give its address with --oidc-issuer", address, resp.StatusCode))
	}
	if strings.TrimSuffix(e.Issuer, "/") != strings.TrimSuffix(o.Issuer, "/") {
		return e, refusal("the identity provider at %s says that it is %s; give that with --oidc-issuer", o.Issuer, e.Issuer)
	}
	for _, endpoint := range []string{e.Token, e.Device} {
		if strings.HasPrefix(o.Issuer, "https:") && endpoint != "" && !strings.HasPrefix(endpoint, "https:") {
			return e, refusal("the identity provider at %s has an address without encryption (http)", o.Issuer)
		}
	}
	return e, nil
}

func (o OIDC) config(e endpoints, scopes []string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: o.Client, ClientSecret: o.Secret.Reveal(), Scopes: scopes,
		Endpoint: oauth2.Endpoint{TokenURL: e.Token, DeviceAuthURL: e.Device, AuthStyle: o.style()},
	}
}

// style returns how the client identifies itself. A client without a secret can do so
// in one way only.
func (o OIDC) style() oauth2.AuthStyle {
	if o.Secret == "" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleAutoDetect
}

func (o OIDC) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, o.HTTP)
}

// Prompt is what a person needs to log in: an address, and a code to type there.
type Prompt struct {
	Address string
	Full    string // the address with the code in it, or ""
	Code    string
	Expires time.Time
}

// Device logs a person in by the device flow. It calls show once, then waits until the
// person has logged in with a browser anywhere. The entry can be stored.
func (o OIDC) Device(ctx context.Context, show func(Prompt)) (Entry, error) {
	e, err := o.discover(ctx)
	if err != nil {
		return Entry{}, err
	}
	if e.Device == "" {
		return Entry{}, refusal("the identity provider at %s has no device flow; use --token-command, or a client with a secret", o.Issuer)
	}
	ctx = o.context(ctx)
	scopes := o.Scopes
	if len(scopes) == 0 {
		scopes = defaultScopes
	}
	cfg := o.config(e, scopes)
	da, err := cfg.DeviceAuth(ctx)
	if len(o.Scopes) == 0 && codeOf(err) == "invalid_scope" {
		cfg.Scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "offline_access" })
		da, err = cfg.DeviceAuth(ctx)
	}
	if err != nil {
		return Entry{}, o.failed("refuses the device flow", err)
	}
	show(Prompt{Address: da.VerificationURI, Full: da.VerificationURIComplete, Code: da.UserCode, Expires: da.Expiry})
	token, err := cfg.DeviceAccessToken(ctx, da)
	if err != nil {
		return Entry{}, o.failed("does not log in", err)
	}
	if token.RefreshToken == "" {
		return Entry{}, refusal("the identity provider gives no refresh token, so that the login would end at %s; add its scope for that with --oidc-scopes (often offline_access)",
			token.Expiry.Format(time.TimeOnly))
	}
	id, _ := token.Extra("id_token").(string)
	return Entry{
		Kind: KindOIDC, Username: cmp.Or(claimsOf(id).name(), claimsOf(token.AccessToken).name()),
		Secret: client.Secret(token.RefreshToken), Issuer: o.Issuer, Client: o.Client, Scopes: cfg.Scopes,
	}, nil
}

// ClientCredentials returns a source of tokens for the client itself.
func (o OIDC) ClientCredentials() client.TokenSource {
	return func(ctx context.Context, _ bool) (client.Token, error) {
		e, err := o.discover(ctx)
		if err != nil {
			return client.Token{}, err
		}
		cfg := clientcredentials.Config{
			ClientID: o.Client, ClientSecret: o.Secret.Reveal(), TokenURL: e.Token, Scopes: o.Scopes, AuthStyle: o.style(),
		}
		token, err := cfg.Token(o.context(ctx))
		if err != nil {
			return client.Token{}, o.failed("refuses the client "+o.Client, err)
		}
		return clientToken(token), nil
	}
}

// Stored returns a source of tokens for the person whose login is stored under key. It
// looks at the stored login each time, since another mount may have renewed it. When
// the provider gives another refresh token, it stores that in place of the old one. It
// waits up to 5 s for one that it has asked for when its context ends.
func (o OIDC) Stored(store Store, key string) client.TokenSource {
	return func(ctx context.Context, _ bool) (client.Token, error) {
		e, err := o.discover(ctx)
		if err != nil {
			return client.Token{}, err
		}
		entry, err := store.Get(key)
		if err != nil {
			return client.Token{}, storedError(err)
		}
		for {
			if entry.Kind != KindOIDC {
				return client.Token{}, refusal("the stored login was replaced by another kind; mount again")
			}
			token, err := o.refresh(ctx, e, store, key, entry)
			if codeOf(err) != "invalid_grant" {
				return token, err
			}
			// Another mount may have been faster, and be about to store its new login.
			later, err := o.replaced(ctx, store, key, entry)
			if err != nil {
				return client.Token{}, err
			}
			entry = later
		}
	}
}

// replaceTime is the longest time that another process takes to store what it got in
// exchange for a refresh token.
const replaceTime = 2 * time.Second

// replaced waits a moment for an entry other than old.
func (o OIDC) replaced(ctx context.Context, store Store, key string, old Entry) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, replaceTime)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		e, err := store.Get(key)
		if err != nil {
			return Entry{}, storedError(err)
		}
		if e.Secret != old.Secret {
			return e, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return Entry{}, refusal("the login has ended; run 'downloadfs login' again")
		}
	}
}

// answerGrace is how long the provider may still take to answer after nobody wants its
// token any more.
const answerGrace = 5 * time.Second

// refresh gets a token for the refresh token of entry. If the provider replaces the
// refresh token, refresh stores the new one. The old one may be good for nothing from the
// moment the provider is asked, so refresh waits for the answer for answerGrace after
// the end of ctx.
func (o OIDC) refresh(ctx context.Context, e endpoints, store Store, key string, entry Entry) (client.Token, error) {
	if err := ctx.Err(); err != nil {
		return client.Token{}, o.unreachable(err)
	}
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(answerGrace, cancel) })()
	cfg := o.config(e, nil)
	token, err := cfg.TokenSource(o.context(longer), &oauth2.Token{RefreshToken: entry.Secret.Reveal()}).Token()
	if codeOf(err) == "invalid_grant" {
		return client.Token{}, err
	}
	if err != nil {
		return client.Token{}, o.failed("refuses to go on", err)
	}
	if token.RefreshToken != "" && token.RefreshToken != entry.Secret.Reveal() {
		entry.Secret = client.Secret(token.RefreshToken)
		if err := store.Set(key, entry); err != nil {
			return client.Token{}, fmt.Errorf("%w: the renewed login cannot be stored: %w", download.ErrUnavailable, err)
		}
	}
	return clientToken(token), nil
}

// storedError returns what an error of a stored login means to a mount.
func storedError(err error) error {
	if errors.Is(err, ErrNone) {
		return refusal("no login is stored any more; run 'downloadfs login' again")
	}
	return err
}

func clientToken(t *oauth2.Token) client.Token {
	return client.Token{Value: client.Secret(t.AccessToken), Expiry: t.Expiry}
}

// codeOf returns the provider's own word for the error, such as invalid_grant.
func codeOf(err error) string {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return e.ErrorCode
	}
	return ""
}

// failed says what the provider did. It tells only the code of the answer: the rest may
// repeat what the provider was sent.
func (o OIDC) failed(did string, err error) error {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return o.unreachable(err)
	case e.Response != nil && (e.Response.StatusCode >= 500 || e.Response.StatusCode == http.StatusTooManyRequests):
		return fmt.Errorf("%w: the identity provider answers %d", download.ErrUnavailable, e.Response.StatusCode)
	case e.ErrorCode == "expired_token":
		return refusal("nobody logged in in time; run it again")
	case e.ErrorCode == "access_denied":
		return refusal("the login was refused in the browser; run it again")
	case e.ErrorCode != "":
		return refusal("the identity provider %s: %s", did, e.ErrorCode)
	case e.Response != nil:
		return refusal("the identity provider %s (%d)", did, e.Response.StatusCode)
	}
	return refusal("the identity provider %s", did)
}

// unreachable is an error of the transport, without the address, which may have a query.
type unreachable struct {
	text  string
	cause error
}

func (o OIDC) unreachable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	host, name := o.Issuer, o.Issuer
	if u, e := url.Parse(o.Issuer); e == nil {
		host, name = u.Host, u.Hostname()
	}
	text, ok := client.TLSSentence(name, err)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		text = "it does not answer in HTTPS; check scheme and port"
	case !ok:
		text = err.Error()
	}
	return &unreachable{fmt.Sprintf("cannot reach %s: %s", host, text), err}
}

func (e *unreachable) Error() string   { return e.text }
func (e *unreachable) Reason() string  { return e.text }
func (e *unreachable) Unwrap() []error { return []error{download.ErrUnavailable, e.cause} }
