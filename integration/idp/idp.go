// Package idp is an OpenID Connect provider for tests. It has the device flow, client
// credentials, and refresh tokens that work once.
package idp

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// Client is a public client that uses the device flow.
	Client = "alfresco"
	// Service and ServiceSecret are a confidential client that logs in as itself.
	Service, ServiceSecret = "sid1", "verysecret"
	// Person is the person who logs in.
	Person  = "test-user2"
	subject = "id2"
)

// Provider is a running provider.
type Provider struct {
	Issuer string
	Tokens atomic.Int64 // access tokens issued so far
	Down   atomic.Bool  // answers 503

	storage *storage.Storage
	life    time.Duration
	handler atomic.Pointer[http.Handler]
}

// Start starts a provider whose access tokens live for life. It ends with the test.
func Start(t testing.TB, life time.Duration) *Provider {
	t.Helper()
	p := &Provider{life: life}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	p.Issuer = srv.URL
	p.storage = storage.NewStorageWithClients(storage.NewUserStore(p.Issuer), map[string]*storage.Client{
		Client: storage.NativeClient(Client), "confidential": storage.DeviceClient("confidential", "secret"),
	})
	provider, err := op.NewProvider(&op.Config{
		CryptoKey: sha256.Sum256([]byte("test")), GrantTypeRefreshToken: true, AuthMethodPost: true,
		DeviceAuthorization: op.DeviceAuthorizationConfig{
			Lifetime: time.Minute, PollInterval: time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20,
		},
	}, &keeper{p.storage, p}, op.StaticIssuer(p.Issuer), op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	var handler http.Handler = provider
	p.handler.Store(&handler)
	return p
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.Down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	(*p.handler.Load()).ServeHTTP(w, r)
}

// Approve does what a person does who types the code in a browser and logs in.
func (p *Provider) Approve(t testing.TB, code string) {
	t.Helper()
	require.NoError(t, p.storage.CompleteDeviceAuthorization(context.Background(), code, subject))
}

// Deny does what a person does who declines.
func (p *Provider) Deny(t testing.TB, code string) {
	t.Helper()
	require.NoError(t, p.storage.DenyDeviceAuthorization(context.Background(), code))
}

// Revoke ends the person's sessions. Their refresh tokens do not work any more.
func (p *Provider) Revoke(t testing.TB) {
	t.Helper()
	require.NoError(t, p.storage.TerminateSession(context.Background(), subject, Client))
	require.NoError(t, p.storage.TerminateSession(context.Background(), subject, ""))
}

// Takes reports whether a request carries a valid token of the provider.
func (p *Provider) Takes(r *http.Request) bool {
	auth := r.Header.Get("Authorization")
	if !strings.HasPrefix(auth, "Bearer ") {
		return false
	}
	w := httptest.NewRecorder()
	ask := httptest.NewRequest(http.MethodGet, p.Issuer+"/userinfo", nil)
	ask.Header.Set("Authorization", auth)
	(*p.handler.Load()).ServeHTTP(w, ask)
	return w.Code == http.StatusOK
}

// keeper is the example's storage, with our lifetime for tokens, for clients that may
// use the device flow and refresh tokens.
type keeper struct {
	*storage.Storage
	p *Provider
}

// CreateAccessToken implements op.Storage.
func (k *keeper) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	id, _, err := k.Storage.CreateAccessToken(ctx, r)
	k.p.Tokens.Add(1)
	return id, time.Now().Add(k.p.life), err
}

// CreateAccessAndRefreshTokens implements op.Storage.
func (k *keeper) CreateAccessAndRefreshTokens(ctx context.Context, r op.TokenRequest, current string) (string, string, time.Time, error) {
	if state, ok := r.(*op.DeviceAuthorizationState); ok {
		r = &storage.AuthRequest{ApplicationID: state.ClientID, UserID: state.Subject, Scopes: state.Scopes}
	}
	id, refresh, _, err := k.Storage.CreateAccessAndRefreshTokens(ctx, r, current)
	if err != nil && current != "" { // another request has used it meanwhile; the example calls that its own failure
		return "", "", time.Time{}, oidc.ErrInvalidGrant().WithParent(err)
	}
	k.p.Tokens.Add(1)
	return id, refresh, time.Now().Add(k.p.life), err
}

// GetClientByClientID implements op.Storage.
func (k *keeper) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := k.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return device{c}, nil
}

// device is a client of the device flow.
type device struct{ op.Client }

func (device) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeDeviceCode, oidc.GrantTypeRefreshToken}
}
func (device) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// SetUserinfoFromToken implements op.Storage. A service is not a user. The example
// notices that only after everything else about its token was right.
func (k *keeper) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	err := k.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin)
	if err != nil && subject == Service && err.Error() == "user not found" {
		info.Subject, err = subject, nil
	}
	return err
}

// ClientCredentials implements op.ClientCredentialsStorage.
func (k *keeper) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	c, err := k.Storage.ClientCredentials(ctx, id, secret)
	if err != nil {
		return nil, err
	}
	return service{c}, nil
}

type service struct{ op.Client }

func (service) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
