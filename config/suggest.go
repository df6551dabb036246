package config

import (
	"fmt"
	"strings"
)

// suggestion returns "; did you mean …?" where one of names is close to word.
func suggestion(word string, names []string) string {
	if name := Closest(word, names); name != "" {
		return fmt.Sprintf("; did you mean %s?", name)
	}
	return ""
}

// Closest returns the name in names that word most likely misspells, or "" if none is
// close.
func Closest(word string, names []string) string {
	best, found := min(3, (len(word)+1)/2)+1, ""
	for _, name := range names {
		if d := distance(word, name); d < best {
			best, found = d, name
		}
	}
	for _, name := range names {
		if found == "" && len(word) > 2 && strings.HasPrefix(name, word) { // half of it
			found = name
		}
	}
	return found
}

// distance returns how many letters you must insert, delete, change or swap with the
// next to turn a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now := make([]int, len(b)+1)
		now[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] && !(a[i] == '_' && b[j] == '-') {
				change++
			}
			now[j+1] = min(last[j+1]+1, now[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
