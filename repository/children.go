package repository

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type listJSON struct {
	List struct {
		Pagination paginationJSON `json:"pagination"`
		Entries    []entryJSON    `json:"entries"`
		Source     *nodeJSON      `json:"source,omitempty"`
	} `json:"list"`
}

type paginationJSON struct {
	Count        int  `json:"count"`
	HasMoreItems bool `json:"hasMoreItems"`
	TotalItems   int  `json:"totalItems"`
	SkipCount    int  `json:"skipCount"`
	MaxItems     int  `json:"maxItems"`
}

// maxPage is the largest page of a list.
const maxPage = 1000

// getChildren is GET /nodes/{id}/children: the nodes in a folder that the user may
// read, a page at a time.
func (s *Repository) getChildren(w http.ResponseWriter, r *http.Request, a *account) error {
	n, d, err := s.resolveRelative(r, a)
	if err != nil {
		return err
	}
	if d != nil || !n.folder {
		return badRequest("NodeId of folder is expected: %s", r.PathValue("id"))
	}
	skip, err := pagingParameter(r, "skipCount", 0, 0)
	if err != nil {
		return err
	}
	limit, err := pagingParameter(r, "maxItems", 100, 1)
	if err != nil {
		return err
	}
	limit = min(limit, maxPage)
	keep, err := parseWhere(r.URL.Query().Get("where"))
	if err != nil {
		return err
	}
	order, err := parseOrder(r.URL.Query().Get("orderBy"))
	if err != nil {
		return err
	}
	all, err := s.tree.children(n.path)
	if err != nil {
		return fmt.Errorf("list %q: %w", n.path, err)
	}
	all = slices.DeleteFunc(all, func(c node) bool { return !a.mayRead(c.path) || !keep(c) })
	slices.SortStableFunc(all, order)

	total := len(all)
	page := all[min(skip, total):]
	page = page[:min(limit, len(page))]
	in := requestIncludes(r)
	var out listJSON
	out.List.Pagination = paginationJSON{len(page), skip+len(page) < total, total, skip, limit}
	out.List.Entries = make([]entryJSON, len(page))
	for i, c := range page {
		v, err := selectFields(r, s.nodeJSON(c, a, in))
		if err != nil {
			return err
		}
		out.List.Entries[i] = entryJSON{v}
	}
	if r.URL.Query().Get("includeSource") == "true" {
		source := s.nodeJSON(n, a, in)
		out.List.Source = &source
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func pagingParameter(r *http.Request, name string, standard, least int) (int, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return standard, nil
	}
	i, err := strconv.Atoi(v)
	if err != nil {
		return 0, badRequest("Invalid paging parameter %s: %s", name, v)
	}
	if i < least {
		return 0, badRequest("Only values of at least %d are supported for %s", least, name)
	}
	return i, nil
}

// whereTerm is the part of Alfresco's query language that node listings support.
var whereTerm = regexp.MustCompile(`^\s*(isFile|isFolder|nodeType)\s*=\s*('[^']*'|true|false)\s*$`)

// parseWhere reads where=(isFile=true), (isFolder=true), (nodeType='cm:content')
// or several of them joined by AND.
func parseWhere(where string) (func(node) bool, error) {
	if where = strings.TrimSpace(where); where == "" {
		return func(node) bool { return true }, nil
	}
	inner, ok := strings.CutPrefix(where, "(")
	if ok {
		inner, ok = strings.CutSuffix(inner, ")")
	}
	if !ok {
		return nil, badRequest("The where query is not valid: %s", where)
	}
	var terms []func(node) bool
	for part := range strings.SplitSeq(strings.ReplaceAll(inner, " and ", " AND "), " AND ") {
		m := whereTerm.FindStringSubmatch(part)
		if m == nil || (m[1] == "nodeType") != (m[2][0] == '\'') {
			return nil, badRequest("The where query is not valid: %s", where)
		}
		name, value := m[1], strings.Trim(m[2], "'")
		terms = append(terms, func(n node) bool {
			switch name {
			case "isFile":
				return n.folder == (value == "false")
			case "isFolder":
				return n.folder == (value == "true")
			}
			return nodeType(n) == value
		})
	}
	return func(n node) bool {
		return !slices.ContainsFunc(terms, func(t func(node) bool) bool { return !t(n) })
	}, nil
}

// parseOrder reads orderBy=name,sizeInBytes DESC. Without it, folders come first and
// then the names.
func parseOrder(by string) (func(a, b node) int, error) {
	if strings.TrimSpace(by) == "" {
		by = "isFolder DESC,name ASC"
	}
	var orders []func(a, b node) int
	for part := range strings.SplitSeq(by, ",") {
		f := strings.Fields(part)
		if len(f) == 0 || len(f) > 2 {
			return nil, badRequest("The orderBy parameter is not valid: %s", by)
		}
		sort, ok := orderings[f[0]]
		if !ok {
			return nil, badRequest("Invalid sort field: %s", f[0])
		}
		if len(f) == 2 {
			switch strings.ToUpper(f[1]) {
			case "ASC":
			case "DESC":
				ascending := sort
				sort = func(a, b node) int { return ascending(b, a) }
			default:
				return nil, badRequest("Invalid sort direction: %s", f[1])
			}
		}
		orders = append(orders, sort)
	}
	return func(a, b node) int {
		for _, sort := range orders {
			if c := sort(a, b); c != 0 {
				return c
			}
		}
		return 0
	}, nil
}

// orderings are the keys that a listing can be sorted by.
var orderings = map[string]func(a, b node) int{
	"isFolder":    filesFirst,
	"name":        func(a, b node) int { return cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) },
	"mimeType":    func(a, b node) int { return cmp.Compare(mimeType(a.name), mimeType(b.name)) },
	"nodeType":    func(a, b node) int { return cmp.Compare(nodeType(a), nodeType(b)) },
	"sizeInBytes": func(a, b node) int { return cmp.Compare(a.size, b.size) },
	"modifiedAt":  func(a, b node) int { return a.modified.Compare(b.modified) },
	// A folder on disk does not know when a file was added: use the zip's order.
	"createdAt": filesFirst,
}
