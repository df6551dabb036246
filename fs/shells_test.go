package fs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A shell browses: a pattern, a test, what is typed. The programs that it runs do not.
// Proves S-110.
func TestShellsBrowse(t *testing.T) {
	for _, shell := range []string{"bash", "dash"} {
		t.Run(shell, func(t *testing.T) {
			m := newTestMount(t)
			d := m.domain.add("d1", nil)
			m.ok(`cat > $M/../script <<'E'
#!/bin/` + shell + `
cd $D
echo */archive.zip
test -f d1/archive.zip && [ -s d1/archive.zip ]
E
chmod +x $M/../script`)
			assert.Equal(t, "d1/archive.zip", m.ok(`$M/../script`))
			assert.Equal(t, "d1/archive.zip", m.ok(shell+` $M/../script`))
			assert.Zero(t, d.waiting())
			b := m.background(`exec ` + shell + ` -c 'cat $D/*/archive.zip'`)
			m.eventually(func() bool { return d.waiting() == 1 }, "the program waits")
			file, data := m.archive(1000)
			d.finish(file, false)
			assert.NoError(t, <-b.done)
			assert.Equal(t, string(data), b.out.String())
		})
	}
}

func TestIsShell(t *testing.T) {
	for program, want := range map[string]bool{"bash": true, "dash": true, "zsh": true, "fish": true, "bashful": false, "busybox": false, "cat": false, "": false} {
		assert.Equal(t, want, isShell(program), program)
	}
}
