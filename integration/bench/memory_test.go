package bench

import (
	"fmt"
	"testing"

	"downloadfs/integration/harness"
)

func parallelMemory(t *testing.T, u harness.User) []cell {
	return []cell{{peak(t, u, 8, *size/4), fmt.Sprintf("%d MB each", *size/4/1e6)}}
}

// peak measures the largest resident memory of a mount while archives are read.
func peak(t *testing.T, u harness.User, archives int, n int64) *figure {
	s := noiseServer(t, archives, n)
	ids := make([]string, archives)
	for i := range ids {
		ids[i] = zipped(t, s, fmt.Sprint(i))
	}
	f := resident()
	for range *runs {
		m := mount(t, s, u)
		var readers []*harness.Process
		for _, id := range ids {
			adopt(t, m, id)
		}
		for _, id := range ids {
			readers = append(readers, long(m.Cmd("exec dd if="+id+"/archive.zip of=/dev/null bs=1M status=none")).Start(t))
		}
		for _, p := range readers {
			p.Wait().OK(t)
		}
		_, most := m.Resident(t)
		f.add(float64(most) / 1e6)
		m.Unmount(t)
	}
	return f
}
