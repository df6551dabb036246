package fs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// saver is a program that saves what it is told through a FIFO to new, and prints
// the outcome.
const saver = `exec python3 -c "
import os
for line in os.fdopen(os.open('$M/../in', os.O_RDWR)):
    try:
        with open('$D/new', 'w') as f: f.write(line)
    except OSError as e: print(e.strerror, flush=True)
    else: print(open('$D/new').read().strip(), flush=True)"`

// Who saves a list again is answered with the download that is being made, and asks
// anew when that is finished, failed or removed, as does another process.
// Proves S-123.
func TestRepeats(t *testing.T) {
	m := newTestMount(t)
	m.ok(`mkfifo $M/../in`)
	b := m.background(saver)
	said := ""
	save := func(list, want string) {
		t.Helper()
		m.ok(`echo ` + list + ` > $M/../in`)
		said += want + "\n"
		m.eventually(func() bool { return len(b.out.String()) >= len(said) }, "it is answered")
		require.Equal(t, said, b.out.String())
	}
	save(idA, "d1")
	save(idA, "d1")
	save(idB, "d2")
	save(idA, "d1")
	save(idA+" "+idB, "d3")
	assert.Equal(t, "d4", m.ok(`echo `+idA+` > $D/new; cat $D/new`), "another process")
	save(idA, "d1")
	file, _ := m.archive(100)
	m.domain.find("d1").finish(file, false)
	save(idA, "d5")
	m.ok(`rm -r $D/d5`)
	save(idA, "d6")
	m.domain.find("d2").set(func(s *download.Snapshot) { s.Err = download.ErrStalled })
	save(idB, "d7")
}

// A list that is on its way is joined; when it fails, the next is asked for.
func TestRepeatsJoin(t *testing.T) {
	var r repeats
	l := download.List{Entries: []download.Entry{{Node: idA}}}
	asked, answer := make(chan struct{}), make(chan error)
	begun := 0
	create := func() (item, error) {
		if begun++; begun > 1 {
			return newFakeDomain().add("d1", nil), nil
		}
		close(asked)
		return nil, <-answer
	}
	type result struct {
		d     item
		again bool
		err   error
	}
	results := make(chan result, 2)
	for range 2 {
		go func() {
			d, again, err := r.create(context.Background(), 7, "", l, create)
			results <- result{d, again, err}
		}()
	}
	<-asked
	impatient, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, _, err := r.create(impatient, 7, "", l, create)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	answer <- fmt.Errorf("create: %w", download.ErrUnavailable)
	one, other := <-results, <-results
	if one.err == nil {
		one, other = other, one
	}
	require.ErrorIs(t, one.err, download.ErrUnavailable)
	require.NoError(t, other.err)
	assert.False(t, other.again)
	assert.Equal(t, 2, begun)
}

// What is finished is forgotten.
func TestRepeatsForget(t *testing.T) {
	var r repeats
	d := newFakeDomain()
	for i := range 1000 {
		it := d.add(download.ID(fmt.Sprint(i)), nil)
		_, _, err := r.create(context.Background(), 7, "", download.List{Entries: []download.Entry{{Path: fmt.Sprint("/", i)}}},
			func() (item, error) { return it, nil })
		require.NoError(t, err)
		it.set(func(s *download.Snapshot) { s.Ready = true })
	}
	assert.LessOrEqual(t, len(r.asked), 200)
}
