package repository

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const jsonType = "application/json;charset=UTF-8"

// timeFormat is how Alfresco writes dates: milliseconds and a numeric zone.
const timeFormat = "2006-01-02T15:04:05.000-0700"

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

type entryJSON struct {
	Entry any `json:"entry"`
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // only our own types get here
		panic(err)
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(b) // ignore a client that went away
}

// writeEntry answers with {"entry": v}, reduced to the request's fields=.
func writeEntry(w http.ResponseWriter, r *http.Request, status int, v any) error {
	v, err := selectFields(r, v)
	if err != nil {
		return err
	}
	writeJSON(w, status, entryJSON{v})
	return nil
}

// selectFields reduces v to the properties that the list parameter fields= names.
// Without it, v is returned as it is.
func selectFields(r *http.Request, v any) (any, error) {
	list := r.URL.Query().Get("fields")
	if list == "" {
		return v, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	kept := make(map[string]json.RawMessage, len(all))
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" || strings.ContainsAny(name, "()") {
			return nil, badRequest("The fields parameter is not valid: %s", list)
		}
		if raw, ok := all[name]; ok {
			kept[name] = raw
		}
	}
	return kept, nil
}
