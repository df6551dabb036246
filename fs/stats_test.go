package fs

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// .stats is found by name, is in no listing, has the text of the moment at which it is
// opened, and cannot be changed.
// Proves S-196.
func TestStats(t *testing.T) {
	var reads atomic.Int64
	m := newTestMount(t, func(c *Config) {
		c.Stats = func() []byte { return fmt.Appendf(nil, "look %08d\n", reads.Add(1)) }
	})
	first, second := m.ok(`cat $M/.stats`), m.ok(`cp $M/.stats /dev/stdout`)
	assert.Regexp(t, `^look \d{8}$`, first)
	assert.Regexp(t, `^look \d{8}$`, second)
	assert.NotEqual(t, first, second)
	assert.Equal(t, "600", m.ok(`stat -c %a $M/.stats`))
	assert.Equal(t, "14", m.ok(`stat -c %s $M/.stats`))
	assert.Equal(t, "README\ndownloads", m.ok(`ls -A $M`))
	assert.NotContains(t, m.ok(`find $M`), "stats")
	for _, script := range []string{`echo x > $M/.stats`, `rm $M/.stats`, `mv $M/.stats $M/x`, `chmod 644 $M/.stats`, `cat $D/.stats`} {
		_, err := m.sh(script)
		assert.Error(t, err, script)
	}
}

// Without a source of figures there is no such file.
func TestNoStats(t *testing.T) {
	m := newTestMount(t)
	out, err := m.sh(`cat $M/.stats`)
	assert.Error(t, err)
	assert.Contains(t, out, "No such file")
}

// observed counts what an Observer is told.
type observed struct {
	mu     sync.Mutex
	counts map[string]int
	served int
}

func (o *observed) Operation(name string, errno syscall.Errno, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if errno != 0 {
		name += " " + errno.Error()
	}
	if took < 0 {
		name += " before it began"
	}
	o.counts[name]++
}

func (o *observed) Served(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.served += n
}

// The observer is told of every operation with its outcome, and of every byte.
func TestObserver(t *testing.T) {
	o := &observed{counts: map[string]int{}}
	m := newTestMount(t, func(c *Config) { c.Observer = o })
	d := m.domain.add("d1", nil)
	file, _ := m.archive(300_000)
	d.finish(file, false)
	m.ok(`cat $D/d1/archive.zip > /dev/null; ls $D/none 2>/dev/null; mkdir $D/d1/x 2>/dev/null; df $M; ln -s x $M/y 2>/dev/null; :`)
	o.mu.Lock()
	defer o.mu.Unlock()
	assert.Equal(t, 300_000, o.served)
	for _, name := range []string{"lookup", "open", "read", "flush", "lookup no such file or directory", "statfs", "mkdir permission denied"} {
		assert.Positive(t, o.counts[name], "%s of %v", name, o.counts)
	}
	for name := range o.counts {
		require.NotContains(t, name, "before")
	}
}
