package bench

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// patience is how long one read of a large archive may take.
const patience = 5 * time.Minute

func cold100(t *testing.T, u harness.User) []cell {
	return cold(t, u, *size/4, "--content-rate", "100000000")
}

func cold20(t *testing.T, u harness.User) []cell {
	return cold(t, u, *size/8, "--content-rate", "20000000")
}

// cold compares reading an archive that is not in the cache with curl of it.
func cold(t *testing.T, u harness.User, n int64, flags ...string) []cell {
	s := noiseServer(t, 1, n, flags...)
	id := zipped(t, s, "0")
	curl(t, s, u, id, "/dev/null") // the server's own disk cache is warm for all
	through, direct, toNull := megabytes(), megabytes(), ratio()
	for range *runs {
		a := curl(t, s, u, id, "/dev/null")
		c := firstRead(t, s, u, id)
		direct.add(mb(n, a))
		through.add(mb(n, c.took))
		toNull.add(a.Seconds() / c.took.Seconds())
	}
	return []cell{{pair{toNull, through}, "curl " + direct.String()}}
}

// warm compares a second read of a cached archive with one of a plain file.
func warm(t *testing.T, u harness.User) []cell {
	s := noiseServer(t, 1, *size)
	id := zipped(t, s, "0")
	m := mount(t, s, u)
	adopt(t, m, id)
	archive := m.Downloads + "/" + id + "/archive.zip"
	plain := harness.Dir(t, u) + "/plain.zip"
	cp := harness.Cmd{User: u, Name: "cp", Args: []string{archive, plain}, Timeout: patience}
	cp.Run(t).OK(t)
	read(t, u, plain)
	read(t, u, archive)
	through, direct, quotient := megabytes(), megabytes(), ratio()
	before := m.CPU(t)
	reads := *runs * 5 // each takes a tenth of a second
	for range reads {
		a, b := read(t, u, plain), read(t, u, archive)
		direct.add(mb(*size, a))
		through.add(mb(*size, b))
		quotient.add(a.Seconds() / b.Seconds())
	}
	// Next to nothing: no request reaches the mount.
	used := (m.CPU(t) - before).Seconds() * (1 << 30) / float64(*size) / float64(reads)
	return []cell{{pair{quotient, through}, fmt.Sprintf("native %s; the mount used %.2f CPU s/GiB", direct, used)}}
}

// pair shows a ratio and the speed it stands for.
type pair [2]*figure

func (p pair) String() string { return fmt.Sprintf("%v, %s", p[0], p[1].format(p[1].median())) }

func mb(n int64, d time.Duration) float64 { return float64(n) / 1e6 / d.Seconds() }

// read reads a file to the end as the user and returns how long it took. The buffer
// of dd is aligned as a page is: one that is not would cost the kernel more.
func read(t *testing.T, u harness.User, path string) time.Duration {
	t.Helper()
	r := harness.Cmd{User: u, Name: "dd", Args: []string{"if=" + path, "of=/dev/null", "bs=1M", "status=none"}, Timeout: patience}.Run(t)
	r.OK(t)
	return r.Duration
}

// curl fetches an archive as the user into a file and returns how long it took.
func curl(t *testing.T, s *harness.Server, u harness.User, id, file string) time.Duration {
	t.Helper()
	r := harness.Cmd{
		User:    u,
		Name:    "curl",
		Args:    []string{"--silent", "--fail", "--config", "-", "--output", file, "--write-out", "%{http_code}", contentURL(s, id)},
		Stdin:   strings.NewReader("user = \"" + harness.AdminName + ":" + harness.AdminPassword + "\"\n"),
		Timeout: patience,
	}.Run(t)
	require.Equal(t, fmt.Sprint(http.StatusOK), r.Out(t))
	return r.Duration
}

func contentURL(s *harness.Server, id string) string {
	return s.URL + "/alfresco/api/-default-/public/alfresco/versions/1/nodes/" + id + "/content"
}
