package config

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds how much is read of a file.
const maxFile = 1 << 20

// ErrExposed marks a file that others can read or write but must not.
var ErrExposed = errors.New("others can read or write the configuration")

// Key is a key that a section may have.
type Key struct {
	Name   string
	Path   bool // a file name, absolute or below ~/
	Secret bool // its file must be private
	List   bool // a command: a list of words, or one text that holds them
}

// Setting is a value from a file, and its origin.
type Setting struct {
	Words  []string // one word, unless it is a list
	List   bool     // it was given as a list
	Origin string   // file:line
}

// Section is a set of settings by key.
type Section map[string]Setting

// File is what a configuration file holds.
type File struct {
	Path     string
	Defaults Section
	Profiles map[string]Section
}

// Problem is something wrong with a file, at one of its lines.
type Problem struct {
	Path string
	Line int // 0: the file as a whole
	Text string

	exposed bool
}

// Unwrap returns ErrExposed if that is the problem.
func (p *Problem) Unwrap() error {
	if p.exposed {
		return ErrExposed
	}
	return nil
}

func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

// Read reads a configuration file. home replaces ~, and uid is the user who reads.
//
// A missing file counts as empty, and so does a file in a directory that may not be
// searched. The error joins one *Problem for each mistake; none holds a value. Read
// also refuses a file with ErrExposed when somebody else could have written it, since
// it can name commands to run, or when it has a secret that others can read.
func Read(path, home string, uid int, keys []Key) (*File, error) {
	f := &File{Path: path, Defaults: Section{}, Profiles: map[string]Section{}}
	// In a directory that may not be searched there is no file for this user: a process
	// that changes its user often keeps the home of the user before. And /dev/null is the
	// home of those who have none.
	if _, err := os.Stat(path); errors.Is(err, iofs.ErrNotExist) || errors.Is(err, iofs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return f, nil
	}
	text, info, err := readFile(path)
	if err != nil {
		return f, &Problem{Path: path, Text: "cannot be read: " + cause(err)}
	}
	r := reader{file: f, home: home, keys: keys}
	if err := r.checkWriters(info, uid); err != nil {
		return f, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return f, errors.Join(append(r.problems, yamlProblem(path, err))...)
	}
	if len(doc.Content) > 0 {
		r.top(doc.Content[0])
	}
	if r.secret != 0 && info.Mode().IsRegular() && info.Mode().Perm()&0o027 != 0 {
		r.problems = append(r.problems, &Problem{Path: path, Line: r.secret, exposed: true,
			Text: "others can read this file, and it holds a secret; run: chmod 600 " + path})
	}
	return f, errors.Join(r.problems...)
}

func readFile(path string) ([]byte, iofs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("it is longer than 1 MiB")
	}
	return text, info, err
}

// cause returns the reason of an error without the path that it repeats.
func cause(err error) string {
	if e, ok := errors.AsType[*iofs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// yamlLine matches the line number and the reason in a parser's error.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// yamlProblem returns a parser's error without the text that it quotes: an unquoted
// secret can look like anything.
func yamlProblem(path string, err error) error {
	p := &Problem{Path: path, Text: "this is not YAML"}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		_, _ = fmt.Sscan(m[1], &p.Line)
		what, _, _ := strings.Cut(m[2], "'")
		p.Text += ": " + strings.TrimSpace(what)
	}
	p.Text += "; begin the keys of a section in the same column, after spaces and not tabs, and put quotes around a value with ': ' or ' #' in it"
	return p
}

// reader collects what a file holds and what is wrong with it.
type reader struct {
	file     *File
	home     string
	keys     []Key
	secret   int // the line of a secret, 0: none
	problems []error
}

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, &Problem{Path: r.file.Path, Line: line, Text: fmt.Sprintf(format, args...)})
}

// checkWriters refuses a file that somebody other than uid and root can write.
func (r *reader) checkWriters(info iofs.FileInfo, uid int) error {
	if !info.Mode().IsRegular() { // a pipe, or /dev/null
		return nil
	}
	path := r.file.Path
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != uid && stat.Uid != 0 {
		return &Problem{Path: path, exposed: true, Text: "it belongs to another user, who could make this one run commands"}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &Problem{Path: path, exposed: true, Text: "others can write it and so make this user run commands; run: chmod go-w " + path}
	}
	return nil
}

func (r *reader) top(n *yaml.Node) {
	r.mapping(n, "the file", func(key, value *yaml.Node) {
		switch key.Value {
		case "defaults":
			r.file.Defaults = r.section(value, "defaults")
			for _, name := range []string{"url", "mountpoint"} {
				if s, ok := r.file.Defaults[name]; ok {
					delete(r.file.Defaults, name)
					r.problem(value.Line, "%s belongs to a profile, not to the defaults (%s)", name, s.Origin)
				}
			}
		case "profiles":
			r.mapping(value, "profiles", func(key, value *yaml.Node) {
				if !validName(key.Value) {
					r.problem(key.Line, "a profile's name has letters, digits, '.', '_' and '-' only")
					return
				}
				r.file.Profiles[key.Value] = r.section(value, "profile "+key.Value)
			})
		default:
			r.problem(key.Line, "unknown key %s%s", key.Value, suggestion(key.Value, []string{"defaults", "profiles"}))
		}
	})
}

// mapping calls visit with each key and value of n, which must be a mapping or empty.
func (r *reader) mapping(n *yaml.Node, what string, visit func(key, value *yaml.Node)) {
	n = target(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.problem(n.Line, "%s must have lines of 'key: value'", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			r.problem(key.Line, "a key must be a word")
			continue
		}
		if seen[key.Value] {
			r.problem(key.Line, "%s is given twice", key.Value)
			continue
		}
		seen[key.Value] = true
		visit(key, target(n.Content[i+1]))
	}
}

// target returns the node that an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func (r *reader) section(n *yaml.Node, what string) Section {
	section := Section{}
	r.mapping(n, what, func(name, value *yaml.Node) {
		i := slices.IndexFunc(r.keys, func(k Key) bool { return k.Name == name.Value })
		if i < 0 {
			names := make([]string, 0, len(r.keys))
			for _, k := range r.keys {
				names = append(names, k.Name)
			}
			r.problem(name.Line, "unknown key %s%s", name.Value, suggestion(name.Value, names))
			return
		}
		key := r.keys[i]
		if key.Secret {
			r.secret = name.Line
		}
		if s, ok := r.value(key, value); ok {
			s.Origin = fmt.Sprintf("%s:%d", r.file.Path, name.Line)
			section[key.Name] = s
		}
	})
	return section
}

func (r *reader) value(key Key, n *yaml.Node) (Setting, bool) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		text := n.Value
		if key.Path {
			var ok bool
			if text, ok = r.path(text); !ok {
				r.problem(n.Line, "%s must be an absolute path, or begin with ~/", key.Name)
				return Setting{}, false
			}
		}
		return Setting{Words: []string{text}}, true
	case n.Kind == yaml.SequenceNode && key.List:
		s := Setting{List: true}
		for _, word := range n.Content {
			if word = target(word); word.Kind != yaml.ScalarNode {
				r.problem(word.Line, "%s must be a list of words", key.Name)
				return Setting{}, false
			}
			s.Words = append(s.Words, word.Value)
		}
		if len(s.Words) > 0 {
			return s, true
		}
	}
	r.problem(n.Line, "%s must have one value", key.Name)
	return Setting{}, false
}

// path returns a file name without ~ that does not depend on the working directory.
func (r *reader) path(text string) (string, bool) {
	if rest, ok := strings.CutPrefix(text, "~/"); ok && r.home != "" {
		return filepath.Join(r.home, rest), true
	}
	return text, filepath.IsAbs(text) || text == "-"
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// validName reports whether s can be a profile's name. Such a name never looks like a
// URL, a path or a flag.
func validName(s string) bool { return len(s) <= 64 && nameShape.MatchString(s) }
