package client

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestClean(t *testing.T) {
	const password = "s3same? open/now"
	s := newScrubber("bob", password)
	basic := base64.StdEncoding.EncodeToString([]byte("bob:" + password))
	ticket := base64.StdEncoding.EncodeToString([]byte("TICKET_0123456789abcdef"))
	for _, text := range []string{
		"you sent Authorization: Basic " + basic + " to us",
		"header " + basic,
		"Basic " + ticket, ticket,
		"authorization=" + ticket,
		"user bob, password " + password + "!",
		"GET /x?p=s3same%3F+open%2Fnow", "GET /s3same%3F%20open%2Fnow",
		"http://x/y?alf_ticket=TICKET_0123456789abcdef&z=1",
		"http://x/y?ALF_TICKET%3DTICKET_0123456789abcdef",
		"the ticket TICKET_0123456789abcdef has expired",
		"proxyconnect https://bob:s3same@proxy:3128/: no",
		"Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc",
		"you sent Cookie: JSESSIONID=s3same-1; other=s3same-2 to us", "Set-Cookie: x=s3same-3; Path=/", "/x;jsessionid=s3same-4?y",
		strings.Repeat("x", maxTextLen-5) + password, // must not survive in part
	} {
		got := s.clean(text)
		for _, secret := range []string{password, "s3same", basic, ticket, "0123456789abcdef", "alf_ticket", "ALF_TICKET", "Authorization", "authorization", "eyJ"} {
			require.NotContains(t, got, secret, text)
		}
	}
	require.Equal(t, "a b c", s.clean(" a\r\n\tb\x00\x1b \u202ec "))
	require.Equal(t, "The entity with id: x was not found", s.clean("The entity with id: x was not found"))
	long := s.clean(strings.Repeat("ü", 1<<20))
	require.LessOrEqual(t, len(long), maxTextLen+len("…"))
	require.True(t, utf8.ValidString(long))
	require.True(t, utf8.ValidString(s.clean("\xff\xfe")))
}

// A password of a few characters occurs in ordinary words.
func TestCleanKeepsWordsOfShortPasswords(t *testing.T) {
	require.Equal(t, "a login", newScrubber("bob", "a").clean("a login"))
}

func FuzzClean(f *testing.F) {
	const password = "c0rrect-h0rse  battery"
	s := newScrubber("bob", password)
	basic := base64.StdEncoding.EncodeToString([]byte("bob:" + password))
	f.Add("Authorization: Basic ", " and more")
	f.Add("http://x?alf_ticket=", "&y=1")
	f.Add(strings.Repeat("x", maxTextLen-5), "\x00\u202e")
	f.Add("//user:", "@host/")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, secret := range []string{password, basic} {
			got := s.clean(before + secret + after)
			require.NotContains(t, got, "c0rrect-h0rse")
			require.NotContains(t, got, basic)
			require.LessOrEqual(t, len(got), maxTextLen+len("…"))
			require.True(t, utf8.ValidString(got))
			require.NotContains(t, got, "\n")
		}
	})
}
