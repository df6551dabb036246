package fs

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeSetting takes every word but wrong.
type fakeSetting struct {
	mu    sync.Mutex
	value string
	sets  int
}

func (s *fakeSetting) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

func (s *fakeSetting) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = ""
}

// times returns how often a value was set.
func (s *fakeSetting) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets
}

func (s *fakeSetting) Set(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(text, "wrong") {
		return errors.New("no such value")
	}
	s.value = strings.TrimSpace(text)
	s.sets++
	return nil
}

// Whatever way a value is written in, it is set once, and a wrong one fails the write.
// Proves S-197.
func TestBandwidthFile(t *testing.T) {
	s := &fakeSetting{value: "off"}
	m := newTestMount(t, func(c *Config) { c.Bandwidth = s })
	assert.Equal(t, "off", m.ok(`cat $M/.bandwidth`))
	assert.NotContains(t, m.ok(`ls -A $M`), "bandwidth")
	for i, script := range []string{
		`echo 5M > $M/.bandwidth`, `printf 5M > $M/.bandwidth`, `printf '5M\n' | tee $M/.bandwidth`, `echo 5M >> $M/.bandwidth`,
		`echo 5M > $T/rate && cp $T/rate $M/.bandwidth`, `dd if=$T/rate of=$M/.bandwidth`, `python3 -c 'open("'$M'/.bandwidth", "w").write("5M")'`,
	} {
		s.forget()
		m.ok(`T=$(mktemp -d); echo 5M > $T/rate; ` + script + ` && rm -r $T`)
		assert.Equal(t, "5M", s.Text(), script)
		assert.Equal(t, i+1, s.times(), script)
		assert.Equal(t, "5M", m.ok(`cat $M/.bandwidth`), script)
	}
	for _, script := range []string{
		`echo wrong > $M/.bandwidth`, `python3 -c 'f = open("'$M'/.bandwidth", "w"); f.write("wrong"); f.close()'`, `head -c 1000 /dev/zero > $M/.bandwidth`,
		`rm $M/.bandwidth`, `mv $M/.bandwidth $M/x`, `truncate -s 5 $M/.bandwidth`,
	} {
		_, err := m.sh(script)
		require.Error(t, err, script)
		assert.Equal(t, "5M", s.Text(), script)
	}
	m.ok(`: > $M/.bandwidth`)
	assert.Equal(t, "5M", s.Text(), "nothing was written")
}

// With --allow-other the others read it and do not change it.
// Proves S-197.
func TestBandwidthFileOfOthers(t *testing.T) {
	asRoot(t)
	s := &fakeSetting{value: "off"}
	m := newTestMount(t, func(c *Config) { c.Bandwidth, c.AllowOther = s, true })
	out, err := m.asNobody(`cat $M/.bandwidth; echo 5M > $M/.bandwidth`)
	require.Error(t, err)
	assert.Contains(t, out, "off\n")
	assert.Contains(t, out, "Permission denied")
	assert.Equal(t, "off", s.Text())
}
