package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newGenerateCommand writes man pages and completions, for packages.
func newGenerateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "gendocs DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return generateDocs(cmd.Root(), args[0]) },
	}
}

func generateDocs(root *cobra.Command, dir string) error {
	date := time.Unix(0, 0).UTC()
	if seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64); err == nil {
		date = time.Unix(seconds, 0).UTC()
	}
	man := filepath.Join(dir, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	// This machine's directories are not the defaults elsewhere.
	scrubDefaults(root)
	for name, page := range manPages(root, date) {
		if err := os.WriteFile(filepath.Join(man, name), page, 0o644); err != nil {
			return err
		}
	}
	for name, write := range map[string]func(string) error{
		"downloadfs":      func(f string) error { return root.GenBashCompletionFileV2(f, true) },
		"_downloadfs":     root.GenZshCompletionFile,
		"downloadfs.fish": func(f string) error { return root.GenFishCompletionFile(f, true) },
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// scrubDefaults replaces the home directory in the defaults of flags by ~.
func scrubDefaults(cmd *cobra.Command) {
	home, _ := os.UserHomeDir()
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if rest, ok := strings.CutPrefix(f.DefValue, home+"/"); ok && home != "" {
				f.DefValue = "~/" + rest
			}
		})
	}
	for _, sub := range cmd.Commands() {
		scrubDefaults(sub)
	}
}
