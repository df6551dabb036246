package fs

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/download"
)

// The kernel asks once for an extended attribute, and once for their names.
// Proves S-191.
func TestNoXattrs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("on macOS each question is answered")
	}
	m := newTestMount(t)
	for _, id := range []download.ID{"d1", "d2", "d3"} {
		m.domain.add(id, nil)
	}
	assert.Equal(t, []string{"ENOTSUP", "ENOTSUP", "ENOTSUP", "ENOTSUP"}, m.errnos(
		`os.getxattr(D+'/d1','user.x')`, `os.getxattr(D+'/d2/status','security.selinux')`,
		`os.listxattr(D+'/new')`, `os.listxattr(D+'/d3')`))
	m.sh("ls -l $D")
	log := m.log.String()
	assert.Equal(t, 1, strings.Count(log, "op=getxattr"))
	assert.Equal(t, 1, strings.Count(log, "op=listxattr"))
}
