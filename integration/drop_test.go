package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"downloadfs/integration/harness"
)

// TestDrop: a list or a link that a tool puts into downloads/, or in the place of
// new, makes one download, and no file is left.
// Proves S-12, S-160.
func TestDrop(t *testing.T) {
	t.Parallel()
	asUsers(t, func(t *testing.T, u harness.User) {
		t.Parallel()
		s := harness.StartServer(t, harness.Samples(t))
		m := harness.StartMount(t, s, harness.MountOptions{User: u})
		dir := harness.Dir(t, u)
		id := s.NodeID(t, "Sites/press/documentLibrary/report.txt")
		url := s.URL + "/share/page/document-details?nodeRef=workspace://SpacesStore/" + id
		harness.Tree(t, dir, map[string]string{"ids.txt": id + "\n", "Report.url": "[InternetShortcut]\r\nURL=" + url + "\r\n"})
		for script, name := range map[string]string{
			`cp ids.txt "$d"`:                   "ids",
			`cp -a ids.txt "$d/q3.list"`:        "q3",
			`cp Report.url "$d"`:                "Report",
			`cp ids.txt again && mv again "$d"`: "again",
			`install -m 600 ids.txt "$d/q3"`:    "q3",
			`rsync -a ids.txt "$d"`:             "ids",
			`gio copy ids.txt "$d/ids.txt"`:     "ids",
			`python3 -c 'import shutil, sys; shutil.copy2("ids.txt", sys.argv[1])' "$d"`:           "ids",
			`ln -s "` + url + `" "$d/report"`:                                                      "report",
			`ln -s /Sites/press/documentLibrary/report.txt "$d/press"`:                             "press",
			`printf 'a\n%s\n.\nw\nw\nq\n' ` + id + ` | vi -e -s -N -n -u NONE -i NONE "$d/q3.txt"`: "q3",
			`cp --remove-destination ids.txt "$d/new"`:                                             "",
			`install ids.txt "$d/new"`:                                                             "",
			`cp ids.txt again && mv -f again "$d/new"`:                                             "",
			`rsync -I ids.txt "$d/new"`:                                                            "",
		} {
			c := harness.Cmd{User: u, Name: "sh", Args: []string{"-c", "d=$1; cd " + dir + " && " + script, "sh", m.Downloads}}
			c.Run(t).OK(t)
			list := m.List(t)
			require.Len(t, list, 1, script)
			if name != "" {
				assert.Equal(t, name, list[0], script)
			}
			assert.Equal(t, id, m.Sh(t, "cat '"+list[0]+"/nodes'").Out(t), script)
			assert.Equal(t, m.Status(t, list[0], "id"), m.Sh(t, "cat new").Out(t), script)
			m.Sh(t, "unzip -tq '"+list[0]+"/archive.zip' && rm -r '"+list[0]+"' && test -z \"$(ls -A | grep -v '^new$')\"").OK(t)
		}
		harness.Tree(t, dir, map[string]string{"bad.txt": "nonsense\n"})
		r := harness.Cmd{User: u, Name: "cp", Args: []string{dir + "/bad.txt", m.Downloads}}.Run(t)
		assert.Equal(t, 1, r.Code)
		assert.Contains(t, r.Stderr, "Invalid argument")
		assert.True(t, strings.HasPrefix(m.Sh(t, "cat new").Out(t), `error: "bad.txt": line 1: "nonsense"`))
		assert.Empty(t, m.List(t))
	})
}
