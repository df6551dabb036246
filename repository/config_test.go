package repository

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultUser(t *testing.T) {
	r, err := New(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer r.Close()
	require.Len(t, r.accounts, 1)
	require.True(t, r.accounts["admin"].is("admin"))
	require.True(t, r.accounts["admin"].admin)
}

func TestWhoIsAdministrator(t *testing.T) {
	for _, tt := range []struct {
		users []User
		want  []string
	}{
		{[]User{{Name: "a"}, {Name: "admin"}}, []string{"admin"}},
		{[]User{{Name: "a"}, {Name: "b", Admin: true}}, []string{"b"}},
		{[]User{{Name: "a"}, {Name: "b"}}, []string{"a"}},
	} {
		var admins []string
		for name, a := range newAccounts(tt.users) {
			if a.admin {
				admins = append(admins, name)
			}
		}
		require.Equal(t, tt.want, admins)
	}
}

// A password is in no log and no error.
// Proves S-66.
func TestPasswordIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	u := User{Name: "alice", Password: "hunter2"}
	s := newDirect(t, Config{Users: []User{u}, Logger: logger}, files{"a": "a"})
	s.user = "alice:hunter2"
	ticket := s.login("alice", "hunter2")
	s.do("GET", "/nodes/-root-?alf_ticket="+ticket, "")
	s.do("GET", "/people/-me-?alf_ticket=hunter2", "", "Authorization", basic("alice:hunter2-wrong"))
	s.await(s.create(nodeID("a")).ID, statusDone)
	s.downloads.wg.Wait() // the zipping logs, too
	logger.Info("user", "user", u)
	_, err := New(Config{Dir: t.TempDir(), Users: []User{u, u}})
	require.Error(t, err)
	for _, text := range []string{log.String(), err.Error(), fmt.Sprint(u), fmt.Sprintf("%v %+v %#v %s", u, u, u, &u)} {
		require.NotEmpty(t, text)
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, ticket)
	}
	require.Contains(t, log.String(), "user=alice")
}

func TestConfigRefusals(t *testing.T) {
	dir := t.TempDir()
	for name, cfg := range map[string]Config{
		"no folder":                    {},
		"folder does not exist":        {Dir: dir + "/nowhere"},
		"no user name":                 {Dir: dir, Users: []User{{Password: "x"}}},
		"a ticket's user name":         {Dir: dir, Users: []User{{Name: "ROLE_TICKET", Password: "x"}}},
		"the same in another case":     {Dir: dir, Users: []User{{Name: "Role_Ticket", Password: "x"}}},
		"a colon in the name":          {Dir: dir, Users: []User{{Name: "a:b", Password: "x"}}},
		"a path as name":               {Dir: dir, Users: []User{{Name: "a/b", Password: "x"}}},
		"no password":                  {Dir: dir, Users: []User{{Name: "a"}}},
		"data in the folder":           {Dir: dir, DataDir: dir + "/data"},
		"data is the folder":           {Dir: dir, DataDir: dir},
		"temporary data in the folder": {Dir: os.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(cfg)
			require.Error(t, err)
			require.Nil(t, r)
		})
	}
}
