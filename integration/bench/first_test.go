package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// reading is a first read of an archive, and what it cost the mount.
type reading struct {
	took     time.Duration
	cpu      time.Duration
	switches int
	resident int64 // bytes, at its peak
}

// firstRead reads an archive through a mount that has nothing of it yet.
func firstRead(t *testing.T, s *harness.Server, u harness.User, id string) reading {
	t.Helper()
	m := mount(t, s, u)
	defer m.Unmount(t)
	adopt(t, m, id)
	cpu, switches := m.CPU(t), m.Switches(t)
	r := reading{took: read(t, u, m.Downloads+"/"+id+"/archive.zip")}
	r.cpu, r.switches = m.CPU(t)-cpu, m.Switches(t)-switches
	_, r.resident = m.Resident(t)
	return r
}

// first compares a first read, on loopback, with others who fetch the same bytes
// from the same server: curl to /dev/null, which needs no memory for them; curl into
// a new file, since the mount keeps what it reads, too; and rclone's mounts.
// Before each of them memory is in the same state.
func first(t *testing.T, u harness.User) []cell {
	n := *size
	s := noiseServer(t, 1, n)
	id := zipped(t, s, "0")
	dir := harness.Dir(t, u)
	index := ""
	if hasRclone() {
		index = peerIndex(t, s, id, n)
	}
	curl(t, s, u, id, "/dev/null") // the server's own disk cache is warm for all
	memory := warmed()
	through, null, file, without, full := megabytes(), megabytes(), megabytes(), megabytes(), megabytes()
	toNull, toFile, toWithout, toFull := ratio(), ratio(), ratio(), ratio()
	cpu, switches, peak := seconds(), newFigure("%.1f"), resident()
	for i := range *runs {
		side := func(speed, quotient *figure, do func() time.Duration) func(r reading) {
			memory.before(t, n)
			took := do()
			speed.add(mb(n, took))
			return func(r reading) { quotient.add(took.Seconds() / r.took.Seconds()) }
		}
		compare := []func(reading){
			side(null, toNull, func() time.Duration { return curl(t, s, u, id, "/dev/null") }),
			side(file, toFile, func() time.Duration {
				name := fmt.Sprintf("%s/%d.zip", dir, i)
				defer harness.ShAs(t, u, "rm "+name)
				return curl(t, s, u, id, name)
			}),
		}
		if index != "" {
			compare = append(compare,
				side(without, toWithout, func() time.Duration { return readPeer(t, u, index, "off") }),
				side(full, toFull, func() time.Duration { return readPeer(t, u, index, "full") }))
		}
		memory.before(t, n)
		r := firstRead(t, s, u, id)
		for _, with := range compare {
			with(r)
		}
		gib := float64(n) / (1 << 30)
		through.add(mb(n, r.took))
		cpu.add(r.cpu.Seconds() / gib)
		switches.add(float64(r.switches) / float64(n>>20))
		peak.add(float64(r.resident) / 1e6)
	}
	cells := []cell{
		{pair{toNull, through}, fmt.Sprintf("curl %s; %s", null, memory)},
		{pair{toFile, through}, "curl " + file.String()},
		{toWithout, "rclone " + without.String()},
		{toFull, "rclone " + full.String()},
		{cpu, "context switches a MiB " + switches.String()},
		{peak, ""},
	}
	if index == "" {
		cells[2].baseline, cells[3].baseline = "rclone is not installed", "rclone is not installed"
	}
	return cells
}

// firstDear is first when new memory costs most.
func firstDear(t *testing.T, u harness.User) []cell {
	memory := givenBack()
	if memory == nil {
		return []cell{{ratio(), "this machine gives no memory back to a host"}}
	}
	n := *size / 2
	s := noiseServer(t, 1, n)
	id := zipped(t, s, "0")
	curl(t, s, u, id, "/dev/null")
	through, null, quotient := megabytes(), megabytes(), ratio()
	for range *runs {
		memory.before(t, n)
		a := curl(t, s, u, id, "/dev/null")
		memory.before(t, n)
		r := firstRead(t, s, u, id)
		null.add(mb(n, a))
		through.add(mb(n, r.took))
		quotient.add(a.Seconds() / r.took.Seconds())
	}
	require.NotEmpty(t, quotient.runs)
	return []cell{{pair{quotient, through}, fmt.Sprintf("curl %s; %s", null, memory)}}
}
