package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [flags]",
		Short: "List the mounts of downloadfs on this machine",
		Long: `list shows each mount of downloadfs that this process can see: where, of which
server, and whether it is well. A mount of yours also tells whether its server has
answered lately. A dead mount is one whose process is gone; the next mount there
replaces it, and 'downloadfs unmount' removes it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return listMounts(cmd.OutOrStdout(), asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// listedMount is a mount as list shows it.
type listedMount struct {
	Mountpoint string `json:"mountpoint"`
	Server     string `json:"server"`
	State      string `json:"state"`
	// Silent is since when the server has not answered; zero if that is not known.
	Silent time.Time `json:"noAnswerSince,omitzero"`
}

// ourMounts returns the mounts of downloadfs and their states. Of mounts on one path
// it returns only the topmost.
func ourMounts() ([]listedMount, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	listed := []listedMount{}
	for i, m := range all {
		covered := false
		for _, later := range all[i+1:] {
			covered = covered || later.path == m.path
		}
		if m.ours() && !covered {
			listed = append(listed, listedMount{Mountpoint: m.path, Server: m.source, State: mountState(m.path)})
		}
	}
	// What was looked at after its mount had ended was a plain directory.
	if all, err = mounts(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(listed, func(l listedMount) bool {
		return !slices.ContainsFunc(all, func(m mountEntry) bool { return m.path == l.Mountpoint })
	}), nil
}

// mountState returns the state of a mount.
func mountState(path string) string {
	switch err := probe(path, probeTimeout); {
	case err == nil:
		return "mounted"
	case errors.Is(err, syscall.ENOTCONN):
		return "dead"
	case errors.Is(err, errNoAnswer):
		return "does not answer"
	case errors.Is(err, iofs.ErrPermission):
		return "of another user"
	default:
		return err.Error()
	}
}

func listMounts(w io.Writer, asJSON bool) error {
	listed, err := ourMounts()
	if err != nil {
		return fmt.Errorf("cannot list mounts: %w", err)
	}
	for i, m := range listed {
		if m.State == "mounted" {
			listed[i].Silent = toldBy(m.Mountpoint).Silent
		}
	}
	if asJSON {
		return json.NewEncoder(w).Encode(listed)
	}
	if len(listed) == 0 {
		fmt.Fprintln(os.Stderr, "nothing is mounted")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "MOUNTPOINT\tSERVER\tSTATE")
	for _, m := range listed {
		state := m.State
		if !m.Silent.IsZero() {
			state += "; the server has not answered for " + timeText(time.Since(m.Silent))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", printable(m.Mountpoint), printable(m.Server), state)
	}
	return table.Flush()
}
