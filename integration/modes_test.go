package integration

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"downloadfs/integration/harness"
)

// TestModes: a download's directory looks as it is, nothing can be made in it and
// all can be removed without a question; a copy of a file is its owner's to write.
// Proves S-174.
func TestModes(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		out := harness.Dir(t, u)
		id := submit(t, m, "Sites/press/documentLibrary/report.txt")
		assert.Equal(t, "500 "+id, m.Sh(t, "stat -c '%a %n' "+id).Out(t))
		for _, script := range []string{"touch x", "mkdir x", "unzip archive.zip", "ln -s archive.zip x", "cp status x"} {
			r := m.Sh(t, "cd "+id+" && "+script)
			assert.NotZero(t, r.Code, script)
			assert.Contains(t, r.Stderr+r.Stdout, "ermission denied", script)
		}
		m.Sh(t, "cp "+id+"/archive.zip "+id+"/status "+out+" && cd "+out+" && chmod u+w . && echo x >> status && echo x >> archive.zip").OK(t)
		r := m.Sh(t, "echo x >> "+id+"/status")
		assert.NotZero(t, r.Code)
		assert.Contains(t, r.Stderr, "ermission denied")

		// On a terminal rm asks about what is not writable.
		moved := submit(t, m, "Sites/press/documentLibrary/photos")
		m.Sh(t, "mv "+moved+"/archive.zip "+out+"/moved.zip && unzip -tq "+out+"/moved.zip").OK(t)
		c := m.Cmd("script -qec 'rm -r " + id + " " + moved + "' /dev/null")
		c.Run(t).OK(t)
		assert.Empty(t, m.List(t))
	})
}
