package fs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/download"
)

const (
	idA = "11111111-1111-4111-8111-111111111111"
	idB = "22222222-2222-4222-8222-222222222222"
)

// Each way of writing the control file makes one download, which is there when
// the writer's close returns.
func TestControlWays(t *testing.T) {
	tests := map[string]struct {
		script string
		nodes  []string
	}{
		"echo":             {`echo @A > $D/new`, []string{idA}},
		"printf":           {`printf '@A\n@B' > $D/new`, []string{idA, idB}},
		"append":           {`echo @A >> $D/new`, []string{idA}},
		"cat":              {`echo @A | cat > $D/new`, []string{idA}},
		"cp":               {`echo @A > $T; cp $T $D/new`, []string{idA}},
		"tee":              {`echo @A | tee $D/new > /dev/null`, []string{idA}},
		"dd":               {`echo @A | dd of=$D/new status=none`, []string{idA}},
		"dd bytes":         {`echo @A | dd of=$D/new bs=1 status=none`, []string{idA}},
		"group":            {`{ echo @A; echo @B; } > $D/new`, []string{idA, idB}},
		"group of cats":    {`echo @A > $T; { cat $T; echo @B | cat; } > $D/new`, []string{idA, idB}},
		"subshell":         {`( echo @A; echo @B | cat ) > $D/new`, []string{idA, idB}},
		"exec":             {`exec 3> $D/new; echo @A >&3; echo @B >&3; exec 3>&-`, []string{idA, idB}},
		"exec exit":        {`exec 3> $D/new; echo @A >&3; echo @B >&3`, []string{idA, idB}},
		"child inherits":   {`exec 3> $D/new; echo @A >&3; bash -c 'echo @B >&3'; exec 3>&-`, []string{idA, idB}},
		"two dups":         {`exec 3> $D/new; exec 4>&3; echo @A >&3; exec 3>&-; echo @B >&4; exec 4>&-`, []string{idA, idB}},
		"busybox":          {`busybox sh -c "echo @A > $D/new"`, []string{idA}},
		"python":           {`python3 -c "open('$D/new','w').write('@A\n@B\n')"`, []string{idA, idB}},
		"python append":    {`python3 -c "open('$D/new','a').write('@A\n')"`, []string{idA}},
		"python unbuffer":  {`python3 -c "f=open('$D/new','wb',0);f.write(b'@A\n');f.write(b'@B\n');f.close()"`, []string{idA, idB}},
		"fsync":            {`python3 -c "import os;f=os.open('$D/new',os.O_WRONLY);os.write(f,b'@A');os.fsync(f)"`, []string{idA}},
		"truncate anew":    {`python3 -c "import os;f=os.open('$D/new',os.O_WRONLY);os.write(f,b'@A\n');os.ftruncate(f,0);os.lseek(f,0,0);os.write(f,b'@B')"`, []string{idB}},
		"nodes again":      {`cat $D/d0/nodes > $D/new`, []string{idA, idB}},
		"cp nodes again":   {`cp $D/d0/nodes $D/new`, []string{idA, idB}},
		"background child": {`( sleep 0.2 2>/dev/null & echo @A ) > $D/new; ls $D/d2 > /dev/null && sleep 0.3`, []string{idA}},
	}
	ids := strings.NewReplacer("@A", idA, "@B", idB)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := newTestMount(t)
			m.domain.add("d0", []download.NodeID{idA, idB})
			script := "T=" + t.TempDir() + "/t\n" + ids.Replace(test.script)
			out := m.ok("bash -c '" + strings.ReplaceAll(script, "'", `'\''`) + "'\nls $D")
			require.Equal(t, "d0\nd2\nnew", out, "exactly one download, there at once")
			var got []string
			for _, id := range m.domain.find("d2").nodes {
				got = append(got, string(id))
			}
			assert.Equal(t, test.nodes, got)
		})
	}
}

func TestControlReadBack(t *testing.T) {
	m := newTestMount(t)
	assert.Empty(t, m.ok(`cat $D/new`))
	assert.Equal(t, "d1", m.ok(`exec 3<>$D/new; echo `+idA+` >&3; read id <&3; echo $id`))
	assert.Equal(t, "d1", m.ok(`cat $D/new`))
	assert.Equal(t, "d2", m.ok(`python3 -c "
f=open('$D/new','r+')
f.write('`+idA+`\n')
f.flush()
print(f.read().strip())"`))
}
