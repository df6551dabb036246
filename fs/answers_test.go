package fs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

// Lines that were told are no entries; a line that only starts so is one, and the
// lines are counted as the writer does, however the list is cut into writes.
func TestListReader(t *testing.T) {
	const latest, earlier, complaint = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000", "error: line 1: x, y; write # ids"
	for text, want := range map[string]string{
		"":                                   "",
		latest:                               "",
		latest + "\n":                        "",
		latest + " \r\n" + complaint:         "",
		complaint + "\n" + idA:               idA,
		latest + "\n" + idA + "\n" + idB:     idA + " " + idB,
		idA + "\n" + latest + "\n" + idB:     idA + " " + idB,
		latest[:35] + "1\n":                  latest[:35] + "1",
		latest + " " + idA:                   latest + " " + idA,
		earlier + "\n" + idA + "\n" + latest: idA,
		earlier:                              earlier, // refused by its name
		complaint + "!\n":                    "line 1: ",
		complaint + "\n" + latest + "\nx y":  "line 3: ",
		"error: line 1":                      "line 1: ",
	} {
		for name, cut := range map[string]int{"at once": 1 << 20, "byte by byte": 1} {
			a := &answers{}
			for _, told := range []string{earlier, complaint, latest, latest} {
				a.tell([]byte(told + "\n"))
			}
			r := &listReader{answers: a}
			err := error(nil)
			for rest := text; rest != "" && err == nil; {
				n := min(cut, len(rest))
				_, err = r.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			var l download.List
			if err == nil {
				l, err = r.Finish(latest)
			}
			if strings.HasPrefix(want, "line ") {
				require.ErrorIs(t, err, download.ErrInvalid, "%q %s", text, name)
				assert.Contains(t, err.Error(), want, "%q %s", text, name)
				continue
			}
			require.NoError(t, err, "%q %s", text, name)
			var got []string
			for _, e := range l.Entries {
				got = append(got, string(e.Node))
			}
			assert.Equal(t, want, strings.Join(got, " "), "%q %s", text, name)
		}
	}
}

// Few answers are remembered.
func TestAnswersBounded(t *testing.T) {
	a := &answers{}
	for i := range 2 * maxAnswers {
		a.tell([]byte(strings.Repeat("x", i) + "\n"))
	}
	assert.Len(t, a.told, maxAnswers)
	assert.True(t, a.is(strings.Repeat("x", 2*maxAnswers-1)))
	assert.False(t, a.is("x"))
}

// An editor that was opened on the outcome of the list before writes it back.
// Proves S-123.
func TestAnswersAreNoEntries(t *testing.T) {
	m := newTestMount(t)
	m.ok(`echo ` + idA + ` > $D/new; cat $D/new > $M/../old; { cat $M/../old; echo ` + idB + `; } > $D/new`)
	assert.Equal(t, []download.NodeID{idB}, m.domain.find("d2").nodes)
	_, err := m.sh(`echo nonsense > $D/new`)
	require.Error(t, err)
	m.ok(`cat $D/new > $M/../old; { cat $M/../old; echo ` + idA + `; } > $D/new; test $(cat $D/new) = d3`)
	m.ok(`cat $M/../old > $D/new; id=$(cat $D/new); echo $id > $D/new`)
	assert.Equal(t, "d1\nd2\nd3\nnew", m.ok(`ls $D`), "what it told is nothing to ask for")
}
