package repository

import (
	"encoding/base64"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func (s *server) login(user, password string) string {
	s.t.Helper()
	a := s.ask("POST", AuthAPI+"/tickets", `{"userId":"`+user+`","password":"`+password+`"}`, "Authorization", "")
	require.Equal(s.t, http.StatusCreated, a.status, string(a.body))
	var t ticketJSON
	a.entry(s.t, &t)
	require.Equal(s.t, user, t.UserID)
	require.Regexp(s.t, "^TICKET_[0-9a-f]{40}$", t.ID)
	return t.ID
}

// Every way to authenticate, on a core call.
func TestAuthentication(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	ticket := s.login("alice", "secret-a")
	tests := []struct {
		name, authorization, query string
		user                       string // "" for 401
	}{
		{"name and password", basic("alice:secret-a"), "", "alice"},
		{"scheme in lower case", "basic" + basic("alice:secret-a")[5:], "", "alice"},
		{"no padding", "Basic YWxpY2U6c2VjcmV0LWE", "", "alice"},
		{"wrong password", basic("alice:secret-b"), "", ""},
		{"unknown user", basic("eve:secret-a"), "", ""},
		{"nothing", "", "", ""},
		{"ticket, no colon", basic(ticket), "", "alice"},
		{"ticket, empty name", basic(":" + ticket), "", "alice"},
		{"ticket of ROLE_TICKET", basic("ROLE_TICKET:" + ticket), "", "alice"},
		{"ticket of role_ticket", basic("role_ticket:" + ticket), "", "alice"},
		{"ticket as a user's password", basic("alice:" + ticket), "", ""},
		{"dead ticket", basic("TICKET_0"), "", ""},
		{"alf_ticket", "", ticket, "alice"},
		{"dead alf_ticket", "", "TICKET_0", ""},
		{"alf_ticket before the header", basic("bob:secret-b"), ticket, "alice"},
		{"valid alf_ticket with a wrong password", basic("bob:wrong"), ticket, "alice"},
		{"dead alf_ticket falls through", basic("bob:secret-b"), "TICKET_0", "bob"},
		{"bearer is not set up", "Bearer " + ticket, "", ""},
		{"bearer with a ticket", "bearer" + basic(ticket)[5:], "", ""},
		{"junk", "junk " + ticket, "", ""},
		{"no base64", "Basic !", "", ""},
		{"nothing after Basic", "Basic", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := "/people/-me-"
			if tt.query != "" {
				path += "?alf_ticket=" + tt.query
			}
			a := s.do("GET", path, "", "Authorization", tt.authorization)
			if tt.user == "" {
				a.requireError(t, http.StatusUnauthorized)
				require.Equal(t, `Basic realm="Alfresco"`, a.header.Get("WWW-Authenticate"))
				return
			}
			require.Equal(t, 200, a.status)
			var p personJSON
			a.entry(t, &p)
			require.Equal(t, tt.user, p.ID)
		})
	}
}

// Every call needs a login, but for logging in and the probes.
func TestWhatNeedsALogin(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	for _, call := range [][2]string{
		{"POST", CoreAPI + "/downloads"}, {"GET", CoreAPI + "/downloads/x"}, {"DELETE", CoreAPI + "/downloads/x"},
		{"GET", CoreAPI + "/nodes/-root-"}, {"DELETE", CoreAPI + "/nodes/x"}, {"GET", CoreAPI + "/nodes/-root-/children"},
		{"GET", CoreAPI + "/nodes/x/content"}, {"GET", CoreAPI + "/people/-me-"}, {"GET", "/alfresco/api/discovery"},
		{"GET", AuthAPI + "/tickets/-me-"}, {"DELETE", AuthAPI + "/tickets/-me-"}, {"GET", "/alfresco/anything"},
	} {
		s.ask(call[0], call[1], "", "Authorization", "").requireError(t, 401)
	}
	for _, probe := range []string{"-ready-", "-live-"} {
		require.Equal(t, 200, s.do("GET", "/probes/"+probe, "", "Authorization", "").status)
	}
	s.do("GET", "/probes/-x-", "").requireError(t, 400)
	// Where there is no Alfresco, Tomcat answers, to everybody.
	require.Equal(t, 404, s.ask("GET", "/anything", "", "Authorization", "").status)
	require.Equal(t, 404, s.ask("POST", "/other"+AuthAPI+"/tickets", `{"userId":"alice","password":"secret-a"}`).status)
}

func TestLogin(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	for body, status := range map[string]int{
		`{"userId":"alice","password":"wrong"}`:    403, // not 401
		`{"userId":"eve","password":"secret-a"}`:   403,
		`{"userId":"alice","password":"secret-b"}`: 403,
		`{"userId":"alice"}`:                       400,
		`{"password":"secret-a"}`:                  400,
		`{"userId":null,"password":"secret-a"}`:    400,
		`{}`:                                       400,
		`x`:                                        400,
	} {
		a := s.ask("POST", AuthAPI+"/tickets", body, "Authorization", "")
		a.requireError(t, status)
		require.Empty(t, a.header.Get("WWW-Authenticate"))
	}
}

// A user has one ticket. Deleting it logs the user's other programs out.
func TestOneTicketPerUser(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	ticket := s.login("alice", "secret-a")
	require.Equal(t, ticket, s.login("alice", "secret-a"))
	require.NotEqual(t, ticket, s.login("bob", "secret-b"))

	me := AuthAPI + "/tickets/-me-"
	a := s.ask("GET", me, "", "Authorization", basic(ticket))
	require.JSONEq(t, `{"entry":{"id":"`+ticket+`"}}`, string(a.body))
	a = s.ask("DELETE", me, "", "Authorization", basic(ticket))
	require.Equal(t, http.StatusNoContent, a.status)
	require.Empty(t, a.body)
	s.do("GET", "/nodes/-root-", "", "Authorization", basic(ticket)).requireError(t, 401)
	require.NotEqual(t, ticket, s.login("alice", "secret-a"))
}

func TestTicketOfMine(t *testing.T) {
	s := newDirect(t, Config{}, nil)
	alices, bobs := s.login("alice", "secret-a"), s.login("bob", "secret-b")
	tests := []struct {
		name, authorization, query, id string
		status                         int
	}{
		{"a password is no ticket", basic("alice:secret-a"), "", "-me-", 400},
		{"a dead ticket with a password", basic("alice:secret-a"), "TICKET_0", "-me-", 404},
		{"a dead ticket alone", "", "TICKET_0", "-me-", 401},
		{"another user's ticket, live", basic("alice:secret-a"), bobs, "-me-", 200}, // then it is bob who asks
		{"not -me-", basic(alices), "", alices, 400},
		{"not -me-, by name", basic(alices), "", "alice", 400},
		{"a wrong password", basic("alice:x"), "", "-me-", 401},
		{"by header", basic(alices), "", "-me-", 200},
		{"by query", "", alices, "-me-", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := AuthAPI + "/tickets/" + tt.id
			if tt.query != "" {
				path += "?alf_ticket=" + tt.query
			}
			a := s.ask("GET", path, "", "Authorization", tt.authorization)
			if tt.status == 200 {
				require.Equal(t, 200, a.status)
				return
			}
			a.requireError(t, tt.status)
			s.ask("DELETE", path, "", "Authorization", tt.authorization).requireError(t, tt.status)
		})
	}
	require.Equal(t, 204, s.ask("DELETE", AuthAPI+"/tickets/-me-?alf_ticket="+alices, "", "Authorization", "").status)
	require.Equal(t, 200, s.ask("GET", AuthAPI+"/tickets/-me-?alf_ticket="+bobs, "", "Authorization", "").status)
}

// A ticket ends after one hour without use, and not before.
func TestTicketEndsWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{}, nil)
		ticket := s.login("alice", "secret-a")
		for range 5 {
			time.Sleep(59 * time.Minute)
			require.Equal(t, 200, s.do("GET", "/nodes/-root-", "", "Authorization", basic(ticket)).status)
		}
		time.Sleep(time.Hour)
		s.do("GET", "/nodes/-root-", "", "Authorization", basic(ticket)).requireError(t, 401)
		require.NotEqual(t, ticket, s.login("alice", "secret-a"))
		require.Len(t, s.tickets.byID, 1)
	})
}

func TestTicketMaxIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDirect(t, Config{TicketMaxIdle: time.Second}, nil)
		ticket := s.login("alice", "secret-a")
		time.Sleep(time.Second)
		require.NotEqual(t, ticket, s.login("alice", "secret-a"))
	})
}

func FuzzParseBasic(f *testing.F) {
	for _, h := range []string{"Basic YTpi", "basic Og==", "Bearer x", "Basic", "Basic  =", "Basic \x00"} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, ok := parseBasic(header)
		if !ok {
			require.Zero(t, c)
			return
		}
		require.True(t, c.ticket == "" || c.name == "", "one or the other")
		require.NotEqual(t, ticketUser, c.name)
	})
}
