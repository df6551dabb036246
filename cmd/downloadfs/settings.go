package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"downloadfs/config"
)

// systemConfig is the configuration for all users of this machine.
const systemConfig = "/etc/downloadfs/config.yaml"

// originKey is the annotation of a flag that says where its value comes from.
const originKey = "downloadfs_origin"

// The keys of a profile that are not flags.
const (
	keyURL        = "url"
	keyMountpoint = "mountpoint"
	keyPassword   = "password"
	keySecret     = "client-secret"
)

// pathFlags take file names. A configuration file gives them in full.
var pathFlags = map[string]bool{"state-dir": true, "cache-dir": true, "password-file": true, "client-secret-file": true, "keytab": true,
	"log-file": true, "ca-cert": true, "client-cert": true, "client-key": true, "share-key-file": true}

// notFromEnvironment are flags without a variable of their own name: help and version,
// flags whose variable has another name, and the one whose variable would look like the
// password's.
var notFromEnvironment = map[string]bool{"help": true, flagVersion: true, "user": true, flagPassword: true}

// envName returns the name of a flag's variable.
func envName(flag string) string {
	return "DOWNLOADFS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnvironment sets each flag that is not on the command line and has its
// variable in the environment.
func applyEnvironment(cmd *cobra.Command) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			setOrigin(f, "--"+f.Name)
			return
		}
		if text := os.Getenv(envName(f.Name)); text != "" && !notFromEnvironment[f.Name] {
			if err := setFlag(cmd, f, text, envName(f.Name)); err != nil {
				errs = append(errs, err)
			}
		}
	})
	return errors.Join(errs...)
}

// setFlag sets a flag to a value that is not from the command line. Its error names
// the origin.
func setFlag(cmd *cobra.Command, f *pflag.Flag, text, origin string) error {
	if err := cmd.Flags().Set(f.Name, text); err != nil {
		_ = f.Value.Set(f.DefValue) // a failed Set may have left something else
		return exitf(exitUsage, "%s: invalid value %q for %s: %s", origin, text, f.Name, remedy(f, err))
	}
	setOrigin(f, origin)
	return nil
}

func setOrigin(f *pflag.Flag, origin string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[originKey] = []string{origin}
}

// origin returns where a flag's value comes from, "" for its default.
func origin(f *pflag.Flag) string {
	if f != nil && len(f.Annotations[originKey]) > 0 {
		return f.Annotations[originKey][0]
	}
	return ""
}

// addConfigFlag adds --config.
func addConfigFlag(f *pflag.FlagSet) {
	f.String("config", "", "read this configuration file instead of "+filepath.Join("~", ".config", "downloadfs", "config.yaml")+" and "+systemConfig)
}

// configFiles returns the configuration files. Earlier files win over later ones.
func configFiles(cmd *cobra.Command) []string {
	if f := cmd.Flags().Lookup("config"); f != nil && f.Value.String() != "" {
		return []string{f.Value.String()}
	}
	var files []string
	if dir := defaultDir("XDG_CONFIG_HOME", ".config"); dir != "" {
		files = append(files, filepath.Join(dir, "config.yaml"))
	}
	return append(files, systemConfig)
}

// configKeys returns the keys that a section of a file may have: mount's flags, and
// the keys that only a profile has.
func configKeys() []config.Key {
	keys := []config.Key{{Name: keyURL}, {Name: keyMountpoint, Path: true}, {Name: keyPassword, Secret: true}, {Name: keySecret, Secret: true}}
	newMountCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			_, list := f.Value.(*argv)
			keys = append(keys, config.Key{Name: f.Name, Path: pathFlags[f.Name], List: list})
		}
	})
	return keys
}

// readConfig reads the configuration files.
func readConfig(cmd *cobra.Command) (config.Stack, error) {
	var (
		stack config.Stack
		errs  []error
		keys  = configKeys()
	)
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	for _, path := range configFiles(cmd) {
		f, err := config.Read(path, home, os.Geteuid(), keys)
		if err != nil {
			errs = append(errs, err)
		}
		stack = append(stack, f)
	}
	if err := errors.Join(errs...); err != nil {
		return stack, exitf(exitUsage, "%w", err)
	}
	return stack, nil
}

// applyProfile sets each flag that neither the command line nor the environment has
// set. The values come from the profile of this name, or else from the defaults of
// the files. It returns the settings that are not flags of cmd.
func applyProfile(cmd *cobra.Command, name string) (config.Section, error) {
	stack, err := readConfig(cmd)
	if err != nil {
		return nil, err
	}
	section, known := stack.Profile(name, loginWays...)
	if !known {
		return nil, unknownProfile(cmd, stack, name)
	}
	return applySection(cmd, section)
}

func applySection(cmd *cobra.Command, section config.Section) (config.Section, error) {
	var errs []error
	rest := config.Section{}
	for _, key := range slices.Sorted(maps.Keys(section)) {
		s, f := section[key], cmd.Flags().Lookup(key)
		switch {
		case f == nil:
			rest[key] = s
		case !f.Changed:
			if err := setFlag(cmd, f, settingText(s), s.Origin); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return rest, errors.Join(errs...)
}

// settingText returns a setting in the form that a flag takes.
func settingText(s config.Setting) string {
	if s.List {
		return shellquote.Join(s.Words...)
	}
	return s.Words[0]
}

func unknownProfile(cmd *cobra.Command, stack config.Stack, name string) error {
	names := stack.Names()
	files := configFiles(cmd)
	for i, f := range files {
		if !fileExists(f) {
			files[i] += " (missing)"
		}
	}
	in := strings.Join(files, " or ")
	switch near := config.Closest(name, names); {
	case strings.Contains(name, "."):
		return exitf(exitUsage, "there is no profile %q in %s; did you mean https://%s?", name, in, name)
	case near != "":
		return exitf(exitUsage, "there is no profile %q in %s; did you mean %s?", name, in, near)
	case len(names) > 0:
		return exitf(exitUsage, "there is no profile %q in %s; there are: %s", name, in, strings.Join(names, ", "))
	}
	return exitf(exitUsage, "there is no profile %q in %s; write one, as 'downloadfs config --help' shows, or give a URL like https://alfresco.example.com", name, in)
}

// isURL distinguishes a server's URL from the name of a profile.
func isURL(s string) bool { return strings.ContainsAny(s, ":/") }

// argv is a command to run. Its text is split into words as a shell does it, but no
// shell sees it.
type argv []string

// Set implements pflag.Value. It splits a command.
func (a *argv) Set(text string) error {
	words, err := shellquote.Split(text)
	if err != nil || len(words) == 0 {
		return errors.New("write a command like 'pass show alfresco'")
	}
	*a = words
	return nil
}

// String returns the command as you could write it.
func (a *argv) String() string { return shellquote.Join(*a...) }

// Type names the flag's value in help texts.
func (*argv) Type() string { return "command" }
