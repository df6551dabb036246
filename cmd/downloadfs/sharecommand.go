package main

import (
	"context"
	"errors"
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
		Use:   "share list|verify|prune|keygen",
		Short: "Look after the archives that mounts on many machines share",
		Long: `share lists, verifies or prunes the archives of all accounts in the store that
mounts share with --share. It may run while they use it. Accounts are shown as the
hash that keeps them apart. What is encrypted with another key than --share-key-file
has, it leaves alone. prune drops the oldest archives above --share-size, and those
older than --age. keygen makes a key.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exitf(exitUsage, "say what to do with the share: list, verify, prune or keygen; see '%s --help'", cmd.CommandPath())
		},
	}
	f := cmd.PersistentFlags()
	addConfigFlag(f)
	f.StringVar(&profile, "profile", "", "the store is in this profile of the configuration")
	o.addFlags(f)
	add := func(name, short string, do func(ctx context.Context, w io.Writer, store share.Store, key *share.Key) error) *cobra.Command {
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
				key, err := o.key()
				if err != nil {
					return err
				}
				store, err := o.open(ctx)
				if err != nil {
					return err
				}
				defer store.Close() // nothing is kept on this machine
				return do(ctx, cmd.OutOrStdout(), store, key)
			},
		}
		cmd.AddCommand(sub)
		return sub
	}
	add("list", "List archives, the oldest first", listShare)
	add("verify", "Read everything and compare it with its checksums; drop what is damaged", verifyShare)
	prune := add("prune", "Drop what nobody needs, and archives that are too many or too old", func(ctx context.Context, w io.Writer, store share.Store, key *share.Key) error {
		return pruneShare(ctx, w, store, key, share.PruneOptions{Size: int64(o.size), Age: age})
	})
	prune.Flags().DurationVar(&age, "age", 0, "also drop archives that were written longer ago than this, such as 720h; 0 keeps them")
	cmd.AddCommand(&cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key to encrypt the share, in a file that only you can read",
		Long: `keygen writes a new key to FILE, which must not be there yet. Give each machine a
copy. Who has it can read and write the share; without it, what is there is lost. It
is a key of age: age-keygen writes such files too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := makeKeyFile(args[0]); err != nil {
				return exitf(exitUsage, "cannot make the key: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s; give each machine a copy, and keep one\n", args[0])
			return nil
		},
	})
	return cmd
}

// makeKeyFile writes a new key to a new file.
func makeKeyFile(name string) error {
	text, err := share.NewKey()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// lockedText says what was left alone.
const (
	lockedText   = "%d %s of another key left alone; give the key with --share-key-file\n"
	unmarkedText = "%d %s without the object \"format\" left alone; if nothing there is encrypted, mount the account once without --share-key-file\n"
)

func listShare(ctx context.Context, w io.Writer, store share.Store, key *share.Key) error {
	archives, err := share.List(ctx, store, key)
	if err != nil {
		return err
	}
	var total int64
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, a := range archives {
		what := printable(a.Name)
		switch {
		case a.Locked:
			what = "of another key"
		case a.Unmarked:
			what = "without the object \"format\""
		case !a.Whole:
			what = "incomplete"
		}
		total += a.Stored
		fmt.Fprintf(table, "%s\t%s\t%s\t%d bytes\twritten %s\n", a.Account, a.ID, what, a.Stored, a.WrittenAt.Format("2006-01-02 15:04"))
	}
	fmt.Fprintf(w, "%d archives, %d bytes\n", len(archives), total)
	return table.Flush()
}

func verifyShare(ctx context.Context, w io.Writer, store share.Store, key *share.Key) error {
	v, err := share.Verify(ctx, store, key)
	for _, d := range v.Damaged {
		fmt.Fprintf(w, "%s: %s: %v\n", d.ID, d.Key, d.Err)
	}
	fmt.Fprintf(w, "%d archives, %d bytes read, %d objects damaged\n", v.Archives, v.Bytes, len(v.Damaged))
	if v.Locked > 0 {
		fmt.Fprintf(w, lockedText, v.Locked, "archives")
	}
	if v.Unmarked > 0 {
		fmt.Fprintf(w, unmarkedText, v.Unmarked, "archives")
	}
	if err == nil && len(v.Damaged) > 0 {
		err = fmt.Errorf("%d damaged objects were dropped; the next mount that reads these archives puts them there again if it can", len(v.Damaged))
	}
	return err
}

func pruneShare(ctx context.Context, w io.Writer, store share.Store, key *share.Key, o share.PruneOptions) error {
	p, err := share.Prune(ctx, store, key, o)
	var total int64
	for _, a := range p.Archives {
		total += a.Stored
		fmt.Fprintf(w, "dropped %s of %s, %d bytes\n", a.ID, a.Account, a.Stored)
	}
	fmt.Fprintf(w, "%d archives dropped, %d bytes, and %d objects of no use\n", len(p.Archives), total, p.Garbage)
	if p.Locked > 0 {
		fmt.Fprintf(w, lockedText, p.Locked, "accounts")
	}
	if p.Unmarked > 0 {
		fmt.Fprintf(w, unmarkedText, p.Unmarked, "accounts")
	}
	return err
}
