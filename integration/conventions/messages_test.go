package conventions_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wordings are second wordings for what the messages to people say in another way, each
// with the one to use.
var wordings = []struct {
	other *regexp.Regexp
	use   string
}{
	{regexp.MustCompile(`: (?:add|ask|check|choose|give|install|make|mount|run|say|set|use|write) `), `what to do comes after a semicolon: "…; run …"`},
	{regexp.MustCompile(`\w, (?:asking|dropping|fetching|going|reading|sending|starting|trying|using) `), `what is done about it comes after a semicolon: "…; trying again"`},
	{regexp.MustCompile(`\b(?:asking again|trying on|be tried again)\b`), `"trying again"`},
	{regexp.MustCompile(`\bin place of\b`), `"instead of"`},
	{regexp.MustCompile(`\b(?:is|are) no (?:[a-km-z]|l[a-np-z])`), `"is not a …"`},
	{regexp.MustCompile(`\bmount point\b`), `"mountpoint"`},
	{regexp.MustCompile(`\bunusable\b`), `"cannot be used"`},
	{regexp.MustCompile(`\b(?:declined|turned away|no longer accepted|not accepted)\b`), `"refused"`},
	{regexp.MustCompile(`\bhas not (?:told|said)\b`), `"has not answered"`},
}

// One thing has one wording. So somebody who searches for a message finds all that is
// said of it. The embedded repository has Alfresco's words.
func TestMessagesHaveOneWording(t *testing.T) {
	var found []string
	for name, p := range list(t, "linux") {
		if name == "repository" || strings.HasPrefix(name, "integration") {
			continue
		}
		for _, file := range p.GoFiles {
			path := p.Dir + "/" + file
			fset := token.NewFileSet()
			parsed, err := parser.ParseFile(fset, path, nil, 0)
			require.NoError(t, err)
			ast.Inspect(parsed, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				text = strings.ReplaceAll(text, "here is no ", "") // of "there is no …"
				for _, w := range wordings {
					if w.other.MatchString(text) {
						found = append(found, fmt.Sprintf("%s: %q: write %s", fset.Position(lit.Pos()), text, w.use))
					}
				}
				return true
			})
		}
	}
	assert.Empty(t, found)
}
