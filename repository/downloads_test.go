package repository

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDownloadLifecycle(t *testing.T) {
	s := newServer(t, Config{}, files{"a.txt": "hello", "b/c.txt": "world"})
	created := s.create(s.id("a.txt"), s.id("b"))
	require.Equal(t, progressJSON{ID: created.ID, Status: statusPending}, created)

	done := s.await(created.ID, statusDone)
	require.Equal(t, progressJSON{created.ID, statusDone, 10, 10, 2, 2}, done)

	got := s.do("GET", "/nodes/"+created.ID+"/content", "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, []entry{{"a.txt", "hello"}, {"b/", ""}, {"b/c.txt", "world"}}, unzip(t, got.body))
}
