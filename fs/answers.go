package fs

import (
	"bytes"
	"strings"
	"sync"

	"downloadfs/download"
	"downloadfs/download/list"
)

// maxAnswers bounds how many answers are remembered.
const maxAnswers = 256

// answers holds the lines that the control file has returned: ids and errors. An
// editor that has opened the file writes them back, together with what its user has
// added, or alone after an error. They are not list entries.
type answers struct {
	mu   sync.Mutex // guards what follows
	told []string   // the latest last
}

// tell remembers a text that a caller was given.
func (a *answers) tell(text []byte) {
	line := strings.TrimSuffix(string(text), "\n")
	if line == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.told) > 0 && a.told[len(a.told)-1] == line {
		return
	}
	if len(a.told) >= maxAnswers {
		a.told = append(a.told[:0], a.told[1:]...)
	}
	a.told = append(a.told, line)
}

// is reports whether line is an answer that was given.
func (a *answers) is(line string) bool {
	return a.any(func(told string) bool { return told == line })
}

// starts reports whether an answer that was given, with any blanks after it, could
// start with s.
func (a *answers) starts(s string) bool {
	return a.any(func(told string) bool {
		rest, ok := strings.CutPrefix(s, told)
		return ok && strings.Trim(rest, " \t\r") == "" || strings.HasPrefix(told, s)
	})
}

func (a *answers) any(match func(string) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, told := range a.told {
		if match(told) {
			return true
		}
	}
	return false
}

// listReader reads a request list and skips the lines that are answers.
type listReader struct {
	answers *answers
	parser  list.Parser
	within  bool     // in a line that is not an answer
	held    []byte   // the start of a line that could be an answer
	skipped []string // the lines that were answers
}

func (f *filesystem) newListReader() *listReader { return &listReader{answers: &f.answers} }

// Write passes p to the parser, with an empty line in place of each answer. So the
// parser's line numbers are the writer's.
func (r *listReader) Write(p []byte) (int, error) {
	var pass []byte
	for rest := p; len(rest) > 0; {
		if r.within {
			end := bytes.IndexByte(rest, '\n') + 1
			if r.within = end == 0; r.within {
				end = len(rest)
			}
			pass, rest = append(pass, rest[:end]...), rest[end:]
			continue
		}
		c := rest[0]
		rest = rest[1:]
		switch {
		case c == '\n':
			if !r.skip() {
				pass = append(pass, r.held...)
			}
			pass, r.held = append(pass, c), r.held[:0]
		default:
			if r.held = append(r.held, c); !r.answers.starts(string(r.held)) {
				pass, r.held, r.within = append(pass, r.held...), r.held[:0], true
			}
		}
	}
	if _, err := r.parser.Write(pass); err != nil {
		return 0, err
	}
	return len(p), nil
}

// skip reports whether the held line is an answer, and notes it.
func (r *listReader) skip() bool {
	line := strings.TrimRight(string(r.held), " \t\r")
	if !r.answers.is(line) {
		return false
	}
	r.skipped = append(r.skipped, line)
	return true
}

// Finish ends the list. If the list holds nothing but the id of a download that is
// not the latest, the id counts as an entry: the user takes it for a node's.
func (r *listReader) Finish(latest string) (download.List, error) {
	if len(r.held) > 0 && !r.skip() {
		if _, err := r.parser.Write(r.held); err != nil {
			return download.List{}, err
		}
	}
	l, err := r.parser.Finish()
	if err != nil || len(l.Entries) > 0 {
		return l, err
	}
	for _, line := range r.skipped {
		if _, err := download.ParseID(line); err == nil && line != latest {
			l.Entries = append(l.Entries, download.Entry{Node: download.NodeID(line)})
		}
	}
	return l, nil
}
