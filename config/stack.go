package config

import (
	"slices"
)

// Stack is one or more files, in order of precedence.
type Stack []*File

// Profile returns the settings for a profile: the profile in the files' order, then the
// defaults in the files' order. With name "", it returns only defaults. Of the keys in
// either, the first section that has one hides those in later sections. It also reports
// whether some file has the profile.
func (s Stack) Profile(name string, either ...string) (Section, bool) {
	merged, known := Section{}, name == ""
	add := func(section Section) {
		hidden := slices.ContainsFunc(either, func(key string) bool { _, ok := merged[key]; return ok })
		for key, setting := range section {
			if _, ok := merged[key]; !ok && !(hidden && slices.Contains(either, key)) {
				merged[key] = setting
			}
		}
	}
	for _, f := range s {
		if section, ok := f.Profiles[name]; ok && name != "" {
			known = true
			add(section)
		}
	}
	for _, f := range s {
		add(f.Defaults)
	}
	return merged, known
}

// Names returns the profiles of all files, sorted.
func (s Stack) Names() []string {
	var names []string
	for _, f := range s {
		for name := range f.Profiles {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
