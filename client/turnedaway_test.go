package client

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// The pages as these proxies send them.
const (
	apachePage = `<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">
<html><head>
<title>503 Service Unavailable</title>
</head><body>
<h1>Service Unavailable</h1>
<p>The server is temporarily unable to service your
request due to maintenance downtime or capacity
problems. Please try again later.</p>
</body></html>
`
	haproxyPage = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
	nginxPage   = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	envoyFailed = "upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: delayed connect error: 111"
	envoyBroke  = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
	unknownPage = "<html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"
)

func TestTurnedAway(t *testing.T) {
	for page, want := range map[string]bool{
		apachePage: true, haproxyPage: true, nginxPage: true, envoyFailed: true, "no healthy upstream": true, "no available server\n": true,
		envoyBroke: false, unknownPage: false, "": false,
	} {
		require.Equal(t, want, turnedAway(&http.Response{StatusCode: 503}, []byte(page)), page)
		require.False(t, turnedAway(&http.Response{StatusCode: 502}, []byte(page)), page)
	}
	squid := func(name string) *http.Response {
		return &http.Response{StatusCode: 503, Header: http.Header{"X-Squid-Error": {name + " 111"}}}
	}
	require.True(t, turnedAway(squid("ERR_CONNECT_FAIL"), nil))
	require.False(t, turnedAway(squid("ERR_READ_ERROR"), nil))
}

// A list that no proxy has passed on is sent again. A list that may have been passed on
// is not.
// Proves S-70.
func TestCreateThatAProxyTurnedAway(t *testing.T) {
	for page, sent := range map[string]int64{apachePage: 3, haproxyPage: 3, nginxPage: 3, envoyBroke: 1, unknownPage: 1} {
		var posts atomic.Int64
		srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
			if posts.Add(1) < 3 {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(503)
				fmt.Fprint(w, page)
				return
			}
			entry(w, 202, downloadEntryOf("PENDING"))
		})
		_, err := newClient(t, testConfig(srv.URL)).Create(t.Context(), []download.NodeID{"a"})
		if require.Equal(t, sent, posts.Load(), page); sent == 3 {
			require.NoError(t, err, page)
		} else {
			require.ErrorIs(t, err, download.ErrUncertain, page)
		}
	}
}

// nginx accepts 1 MB in one request unless it is configured otherwise.
// Proves S-71.
func TestCreateTooLongForAProxy(t *testing.T) {
	srv := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(413)
		fmt.Fprint(w, "<html><center><h1>413 Request Entity Too Large</h1></center></html>")
	})
	_, err := newClient(t, testConfig(srv.URL)).Create(t.Context(), []download.NodeID{download.NodeID(strings.Repeat("a", 1_999_000))})
	require.ErrorIs(t, err, download.ErrListTooLong)
	require.ErrorContains(t, err, "refuses a request of 2000 kB (413); write it as several lists")
	require.Len(t, srv.seen(), 1)
}
