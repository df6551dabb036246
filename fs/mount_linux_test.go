package fs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDevicesOn(t *testing.T) {
	const text = `22 27 0:20 / /proc rw - proc proc rw
60 27 0:57 / /home/u/m\040n rw,nosuid - fuse.downloadfs https://example.com rw
61 60 0:58 / /home/u/m\040n rw,nosuid shared:3 - fuse.downloadfs https://example.com rw
62 27 0:59 / /a\134b rw - tmpfs - rw
short
`
	assert.Equal(t, []string{"0:57", "0:58"}, devicesOn(text, "/home/u/m n"), "the topmost last")
	assert.Equal(t, []string{"0:59"}, devicesOn(text, `/a\b`))
	assert.Empty(t, devicesOn(text, "/home/u"))
	assert.Empty(t, devicesOn("", "/"))
}

func TestUnescapeOctal(t *testing.T) {
	for in, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `\134`: `\`, `\011\012`: "\t\n", `/a\`: `/a\`, `\04`: `\04`, `\x40`: `\x40`,
	} {
		assert.Equal(t, want, unescapeOctal(in), in)
	}
}
