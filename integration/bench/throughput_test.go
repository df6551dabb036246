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

func coldUnlimited(t *testing.T, u harness.User) []cell { return cold(t, u, *size) }

func cold100(t *testing.T, u harness.User) []cell {
	return cold(t, u, *size/4, "--content-rate", "100000000")[:1]
}

func cold20(t *testing.T, u harness.User) []cell {
	return cold(t, u, *size/8, "--content-rate", "20000000")[:1]
}

// cold compares reading an archive that is not in the cache with curl of it, to
// /dev/null and into a new file: the mount keeps what it reads, too.
func cold(t *testing.T, u harness.User, n int64, flags ...string) []cell {
	s := noiseServer(t, 1, n, flags...)
	id := zipped(t, s, "0")
	dir := harness.Dir(t, u)
	curl(t, s, u, id, "/dev/null") // the server's own disk cache is warm for all
	through, direct, kept := megabytes(), megabytes(), megabytes()
	toNull, toFile := ratio(), ratio()
	for i := range *runs {
		a := curl(t, s, u, id, "/dev/null")
		b := curl(t, s, u, id, fmt.Sprintf("%s/%d.zip", dir, i))
		m := mount(t, s, u)
		adopt(t, m, id)
		c := read(t, u, m.Downloads+"/"+id+"/archive.zip")
		m.Unmount(t)
		direct.add(mb(n, a))
		kept.add(mb(n, b))
		through.add(mb(n, c))
		toNull.add(a.Seconds() / c.Seconds())
		toFile.add(b.Seconds() / c.Seconds())
	}
	return []cell{
		{pair{toNull, through}, "curl " + direct.String()},
		{pair{toFile, through}, "curl " + kept.String()},
	}
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
	for range *runs {
		a, b := read(t, u, plain), read(t, u, archive)
		direct.add(mb(*size, a))
		through.add(mb(*size, b))
		quotient.add(a.Seconds() / b.Seconds())
	}
	return []cell{{pair{quotient, through}, "native " + direct.String()}}
}

// pair shows a ratio and the speed it stands for.
type pair [2]*figure

func (p pair) String() string { return fmt.Sprintf("%v, %s", p[0], p[1].format(p[1].median())) }

func mb(n int64, d time.Duration) float64 { return float64(n) / 1e6 / d.Seconds() }

// read reads a file to the end as the user and returns how long it took.
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
