package config

import (
	"slices"
)

// Stack is one or more files, the one that goes before the others first.
type Stack []*File

// Profile returns the settings for a profile: those of the profile in the files'
// order, then the defaults in the files' order. With name "", only defaults. Of
// the keys in either, the first section that has one hides those of later ones. It
// reports whether some file has the profile.
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

// Names returns the profiles of all files, in order of their names.
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
