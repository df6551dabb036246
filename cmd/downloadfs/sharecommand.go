package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"downloadfs/share"
)

func newShareCommand() *cobra.Command {
	var (
		o       shareOptions
		profile string
		age     time.Duration
	)
	cmd := &cobra.Command{
		Use:   "share list|verify|prune",
		Short: "Look after the archives that mounts on many machines share",
		Long: `share lists, verifies or prunes the archives of all accounts in the store that
mounts share with --share. It may run while they use it. Accounts are shown as the
hash that keeps them apart.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exitf(exitUsage, "say what to do with the share: list, verify or prune; see '%s --help'", cmd.CommandPath())
		},
	}
	f := cmd.PersistentFlags()
	addConfigFlag(f)
	f.StringVar(&profile, "profile", "", "the store is in this profile of the configuration")
	o.addFlags(f)
	add := func(name, short string, do func(ctx context.Context, w io.Writer, store share.Store) error) *cobra.Command {
		sub := &cobra.Command{
			Use:   name,
			Short: short,
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				if _, err := applyProfile(cmd, profile); err != nil {
					return err
				}
				if o.url == "" {
					return exitf(exitUsage, "which store? give --share URL, or --profile")
				}
				ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				store, err := o.open(ctx)
				if err != nil {
					return err
				}
				defer store.Close() // nothing is kept on this machine
				return do(ctx, cmd.OutOrStdout(), store)
			},
		}
		cmd.AddCommand(sub)
		return sub
	}
	add("list", "List archives, the oldest first", listShare)
	add("verify", "Read everything and compare it with its checksums; drop what is damaged", verifyShare)
	prune := add("prune", "Drop what nobody needs, and archives above --share-size or older than --age", func(ctx context.Context, w io.Writer, store share.Store) error {
		return pruneShare(ctx, w, store, share.PruneOptions{Size: int64(o.size), Age: age})
	})
	prune.Flags().DurationVar(&age, "age", 0, "also drop archives that were written longer ago than this, such as 720h; 0 keeps them")
	return cmd
}

func listShare(ctx context.Context, w io.Writer, store share.Store) error {
	archives, err := share.List(ctx, store)
	if err != nil {
		return err
	}
	var total int64
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, a := range archives {
		what := printable(a.Name)
		if !a.Whole {
			what = "incomplete"
		}
		total += a.Stored
		fmt.Fprintf(table, "%s\t%s\t%s\t%d bytes\twritten %s\n", a.Account, a.ID, what, a.Stored, a.WrittenAt.Format("2006-01-02 15:04"))
	}
	fmt.Fprintf(w, "%d archives, %d bytes\n", len(archives), total)
	return table.Flush()
}

func verifyShare(ctx context.Context, w io.Writer, store share.Store) error {
	v, err := share.Verify(ctx, store)
	for _, d := range v.Damaged {
		fmt.Fprintf(w, "%s: %s: %v\n", d.ID, d.Key, d.Err)
	}
	fmt.Fprintf(w, "%d archives, %d bytes read, %d objects damaged\n", v.Archives, v.Bytes, len(v.Damaged))
	if err == nil && len(v.Damaged) > 0 {
		err = fmt.Errorf("%d damaged objects were dropped; the next mount that reads these archives puts them there again if it can", len(v.Damaged))
	}
	return err
}

func pruneShare(ctx context.Context, w io.Writer, store share.Store, o share.PruneOptions) error {
	p, err := share.Prune(ctx, store, o)
	var total int64
	for _, a := range p.Archives {
		total += a.Stored
		fmt.Fprintf(w, "dropped %s of %s, %d bytes\n", a.ID, a.Account, a.Stored)
	}
	fmt.Fprintf(w, "%d archives dropped, %d bytes, and %d objects of no use\n", len(p.Archives), total, p.Garbage)
	return err
}
