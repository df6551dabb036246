package login

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/client"
	"downloadfs/download"
	"downloadfs/integration/idp"
)

func oidcOf(p *idp.Provider) OIDC {
	return OIDC{Issuer: p.Issuer, Client: idp.Client, HTTP: http.DefaultClient}
}

// device logs in by the device flow.
func device(t *testing.T, p *idp.Provider) Entry {
	t.Helper()
	e, err := oidcOf(p).Device(t.Context(), func(prompt Prompt) {
		assert.Contains(t, prompt.Address, p.Issuer)
		assert.Contains(t, prompt.Full, prompt.Code)
		p.Approve(t, prompt.Code)
	})
	require.NoError(t, err)
	return e
}

// Proves S-109, S-118.
func TestDeviceFlow(t *testing.T) {
	p := idp.Start(t, time.Minute)
	e := device(t, p)
	assert.Equal(t, KindOIDC, e.Kind)
	assert.NotEmpty(t, e.Username)
	assert.NotEmpty(t, e.Secret.Reveal())

	store := Files{t.TempDir()}
	require.NoError(t, store.Set("key", e))
	source := oidcOf(p).Stored(store, "key")
	first, err := source(t.Context(), false)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Minute), first.Expiry, 10*time.Second)
	second, err := source(t.Context(), true)
	require.NoError(t, err, "the refresh token was good for once, and another one is stored")
	assert.NotEqual(t, first.Value.Reveal(), second.Value.Reveal())

	// Another mount has renewed the login meanwhile, both at once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := oidcOf(p).Stored(store, "key")(t.Context(), false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	p.Down.Store(true)
	_, err = source(t.Context(), false)
	require.ErrorIs(t, err, download.ErrUnavailable)
	p.Down.Store(false)
	p.Revoke(t)
	_, err = source(t.Context(), false)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.ErrorContains(t, err, "downloadfs login")
	assert.NotContains(t, err.Error(), e.Secret.Reveal())
}

// slowProvider is a provider that takes its time to answer with a new refresh token.
type slowProvider time.Duration

// RoundTrip implements http.RoundTripper.
func (p slowProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Method == http.MethodGet {
		fmt.Fprint(w, `{"issuer":"https://sso","token_endpoint":"https://sso/token"}`)
		return w.Result(), nil
	}
	select {
	case <-time.After(time.Duration(p)):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"access_token":"a","refresh_token":"second"}`)
	return w.Result(), nil
}

// A mount that ends while its login is renewed stores the new one: the old one is good for
// nothing from then on. It does not wait for ever.
// Proves S-118.
func TestRenewedWhileClosing(t *testing.T) {
	for takes, stored := range map[time.Duration]string{time.Second: "second", 4 * time.Second: "second", time.Hour: "first"} {
		synctest.Test(t, func(t *testing.T) {
			store := Files{t.TempDir()}
			require.NoError(t, store.Set("key", Entry{Kind: KindOIDC, Secret: "first"}))
			o := OIDC{Issuer: "https://sso", Client: idp.Client, HTTP: &http.Client{Transport: slowProvider(takes)}}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			began := time.Now()
			_, err := o.Stored(store, "key")(ctx, false)
			assert.Equal(t, stored == "first", err != nil, "%v", err)
			assert.LessOrEqual(t, time.Since(began), time.Millisecond+answerGrace)
			e, err := store.Get("key")
			require.NoError(t, err)
			assert.Equal(t, stored, e.Secret.Reveal())
		})
	}
}

// Proves S-109.
func TestDeviceFlowDeclined(t *testing.T) {
	p := idp.Start(t, time.Minute)
	_, err := oidcOf(p).Device(t.Context(), func(prompt Prompt) { p.Deny(t, prompt.Code) })
	require.ErrorIs(t, err, download.ErrUnauthorized)
	require.ErrorContains(t, err, "refused in the browser")

	ctx, cancel := context.WithCancel(t.Context())
	_, err = oidcOf(p).Device(ctx, func(Prompt) { cancel() })
	require.Error(t, err)

	o := oidcOf(p)
	o.Client = "unknown"
	_, err = o.Device(t.Context(), func(Prompt) { t.Error("asked a person") })
	require.Error(t, err)
}

func TestClientCredentials(t *testing.T) {
	p := idp.Start(t, time.Minute)
	o := OIDC{Issuer: p.Issuer, Client: idp.Service, Secret: idp.ServiceSecret, Scopes: []string{"openid"}, HTTP: http.DefaultClient}
	token, err := o.ClientCredentials()(t.Context(), false)
	require.NoError(t, err)
	assert.NotEmpty(t, token.Value.Reveal())
	assert.WithinDuration(t, time.Now().Add(time.Minute), token.Expiry, 10*time.Second)

	o.Secret = "wr0ng-secret"
	_, err = o.ClientCredentials()(t.Context(), false)
	require.ErrorIs(t, err, download.ErrUnauthorized)
	assert.NotContains(t, err.Error(), "wr0ng-secret")
}

// An address without a provider, or with another one than expected, is told apart from
// a provider that does not answer.
func TestDiscoverRefuses(t *testing.T) {
	answers := map[string]string{
		"/other/.well-known/openid-configuration": `{"issuer":"https://evil.example","token_endpoint":"https://evil.example/t"}`,
		"/page/.well-known/openid-configuration":  `<html>`,
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := answers[r.URL.Path]; ok {
			_, _ = w.Write([]byte(text))
			return
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	for path, want := range map[string]string{"/other": "says that it is https://evil.example", "/page": "no OpenID Connect provider", "/none": "no OpenID Connect provider"} {
		_, err := OIDC{Issuer: srv.URL + path, HTTP: http.DefaultClient}.discover(t.Context())
		require.ErrorIs(t, err, download.ErrUnauthorized, path)
		require.ErrorContains(t, err, want)
	}
	srv.Close()
	_, err := OIDC{Issuer: srv.URL, HTTP: http.DefaultClient}.discover(t.Context())
	require.ErrorIs(t, err, download.ErrUnavailable)
}

func TestDefaultIssuer(t *testing.T) {
	u, err := url.Parse("https://ecm.example.org:8443/alfresco")
	require.NoError(t, err)
	assert.Equal(t, "https://ecm.example.org:8443/auth/realms/alfresco", DefaultIssuer(u))
}

func TestClaims(t *testing.T) {
	// {"exp":1800000000,"preferred_username":"finn"}
	c := claimsOf("e30.eyJleHAiOjE4MDAwMDAwMDAsInByZWZlcnJlZF91c2VybmFtZSI6ImZpbm4ifQ.x")
	assert.Equal(t, int64(1800000000), c.expiry().Unix())
	assert.Equal(t, "finn", c.name())
	for _, other := range []string{"", "a.b.c", "TICKET_1", "a.e30", client.Secret("x").Reveal()} {
		assert.Zero(t, claimsOf(other).expiry(), other)
	}
}
