package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"downloadfs/cache"
)

func newCacheCommand() *cobra.Command {
	var dir, profile string
	cmd := &cobra.Command{
		Use:   "cache list|verify|clear",
		Short: "Look after the archives on disk",
		Long: `cache lists, verifies or clears the archives that mounts keep on disk: those of all
servers and users below --cache-dir. The cache of a running mount is listed, too, but
left alone otherwise (exit code 6).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exitf(exitUsage, "say what to do with the cache: list, verify or clear; see '%s --help'", cmd.CommandPath())
		},
	}
	addConfigFlag(cmd.PersistentFlags())
	cmd.PersistentFlags().StringVar(&profile, "profile", "", "where to look is in this profile of the configuration")
	cmd.PersistentFlags().StringVar(&dir, "cache-dir", defaultCacheDir(), "where the archives are, as for mount")
	add := func(name, short string, do cacheAction) {
		cmd.AddCommand(&cobra.Command{
			Use:   name,
			Short: short,
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if _, err := applyProfile(cmd, profile); err != nil {
					return err
				}
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return eachCache(ctx, cmd, dir, do)
			},
		})
	}
	add("list", "List archives, the least recently used first", listCache)
	add("verify", "Read everything and compare it with its checksums; drop what is damaged", opened(verifyCache))
	add("clear", "Drop all archives, also those that the server has deleted", opened(clearCache))
	return cmd
}

// cacheAction does something with the cache of one account, which is in dir, and reports
// it on w.
type cacheAction func(ctx context.Context, w io.Writer, dir string, log *slog.Logger) error

// eachCache does it with the caches below dir, one after the other.
func eachCache(ctx context.Context, cmd *cobra.Command, dir string, do cacheAction) error {
	if dir == "" {
		return exitf(exitUsage, "no home directory to look in; give --cache-dir")
	}
	indexes, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*", "index.db"))
	if err != nil {
		return err
	}
	// Warnings only: standard output reports what is done.
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if len(indexes) == 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "no cache in %s\n", dir)
	}
	var errs []error
	for _, index := range indexes {
		if ctx.Err() != nil {
			return errors.Join(append(errs, errInterrupted)...)
		}
		errs = append(errs, do(ctx, cmd.OutOrStdout(), filepath.Dir(index), log))
	}
	return errors.Join(errs...)
}

// opened makes an action of one that needs the cache for itself.
func opened(do func(ctx context.Context, w io.Writer, account string, c *cache.Cache) error) cacheAction {
	return func(ctx context.Context, w io.Writer, dir string, log *slog.Logger) error {
		c, err := cache.Open(cache.Config{Dir: dir, Size: 1 << 62, Logger: log})
		if err != nil {
			return lockedHint(err, "cache", dir)
		}
		return errors.Join(do(ctx, w, filepath.Base(dir), c), c.Close())
	}
}

// escapeGlob escapes a name so that a pattern matches exactly that name.
func escapeGlob(name string) string {
	escaped := make([]rune, 0, len(name))
	for _, r := range name {
		switch r {
		case '*', '?', '[', '\\':
			escaped = append(escaped, '\\')
		}
		escaped = append(escaped, r)
	}
	return string(escaped)
}

func listCache(_ context.Context, w io.Writer, dir string, log *slog.Logger) error {
	archives, err := cache.List(dir, log)
	if err != nil {
		return err
	}
	var total int64
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, a := range archives {
		used := "never"
		if !a.UsedAt.IsZero() {
			used = a.UsedAt.Format("2006-01-02 15:04")
		}
		total += a.Cached
		fmt.Fprintf(table, "%s\t%s\t%d of %d bytes\tread %s\n", a.ID, printable(a.Name), a.Cached, a.Size, used)
	}
	fmt.Fprintf(w, "%s: %s, %s\n", filepath.Base(dir), counted(len(archives), "archive", "archives"), counted(total, "byte", "bytes"))
	return table.Flush()
}

func verifyCache(ctx context.Context, w io.Writer, account string, c *cache.Cache) error {
	result, err := c.Verify(ctx)
	for _, d := range result.Damaged {
		fmt.Fprintf(w, "%s: %s is damaged at %d (%d bytes): %v\n", account, d.ID, d.Off, d.Len, d.Err)
	}
	fmt.Fprintf(w, "%s: %s, %s read, %s damaged\n", account, counted(result.Archives, "archive", "archives"),
		counted(result.Bytes, "byte", "bytes"), counted(len(result.Damaged), "block", "blocks"))
	if err == nil && len(result.Damaged) > 0 {
		err = fmt.Errorf("%s: dropped %s; what is needed is fetched again", account, counted(len(result.Damaged), "damaged block", "damaged blocks"))
	}
	return err
}

func clearCache(_ context.Context, w io.Writer, account string, c *cache.Cache) error {
	archives, err := c.List()
	if err != nil {
		return err
	}
	var total int64
	for _, a := range archives {
		total += a.Cached
	}
	if err := c.Clear(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %s dropped, %s\n", account, counted(len(archives), "archive", "archives"), counted(total, "byte", "bytes"))
	return nil
}
