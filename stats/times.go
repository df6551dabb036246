package stats

import "time"

// Bounds are the upper ends of the classes in [Times]. An operation takes
// microseconds if it is answered from memory, and as long as the server zips if it
// waits for an archive.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

// Times says how long events took.
type Times struct {
	Count   int64
	Sum     time.Duration
	Classes [len(Bounds)]int64 // how many took as long as the bound at most, and longer than the one before
}

func (t *Times) add(took time.Duration) {
	t.Count++
	t.Sum += took
	for i, bound := range Bounds {
		if took <= bound {
			t.Classes[i]++
			return
		}
	}
}
