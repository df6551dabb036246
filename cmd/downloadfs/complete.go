package main

import (
	"context"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"downloadfs/download"
)

// completeTimeout is how long a shell may wait after a Tab.
const completeTimeout = 4 * time.Second

// completeProfiles completes the names of profiles.
func completeProfiles(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	stack, _ := readConfig(cmd) // use what can be read
	return stack.Names(), cobra.ShellCompDirectiveNoFileComp
}

// completeMounts completes the names of profiles and the mountpoints of this machine. The
// shell completes what is neither.
func completeMounts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	stack, _ := readConfig(cmd) // use what can be read
	names := stack.Names()
	all, _ := mounts()
	for _, m := range all {
		if m.ours() && printable(m.path) == m.path {
			names = append(names, m.path)
		}
	}
	return names, cobra.ShellCompDirectiveDefault
}

// completeFlags completes the values of get's flags.
func (o *getOptions) completeFlags(cmd *cobra.Command) {
	err := cmd.RegisterFlagCompletionFunc("server", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return completeProfiles(cmd, nil, toComplete)
	})
	if err != nil {
		panic(err) // the flag exists
	}
}

// completeItems completes paths in the repository. It asks the server for them.
func (o *getOptions) completeItems(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if toComplete == "" {
		return []string{"/", "-my-/", "-shared-/"}, nothing | cobra.ShellCompDirectiveNoSpace
	}
	if !strings.HasPrefix(toComplete, "/") && !strings.HasPrefix(toComplete, "-") {
		return nil, nothing
	}
	if applyEnvironment(cmd) != nil {
		return nil, nothing
	}
	t, err := findAnyServer(cmd, o.server, args)
	if err != nil {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	o.retryTimeout = min(o.retryTimeout, completeTimeout)
	c, err := o.connect(ctx, cmd, t, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nothing
	}
	defer c.Close()
	names, err := pathsBelow(ctx, c, toComplete)
	if err != nil {
		return nil, nothing
	}
	return names, nothing | cobra.ShellCompDirectiveNoSpace
}

// pathsBelow returns the paths that begin with prefix, one level deep. The paths of
// folders end in a slash.
func pathsBelow(ctx context.Context, c *connection, prefix string) ([]string, error) {
	dir, base := path.Split(prefix)
	folder, err := c.Resolve(ctx, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for more, skip := true, 0; more && len(names) < 1000; {
		var page []download.Node
		if page, more, err = c.Children(ctx, folder, skip); err != nil {
			return nil, err
		}
		skip += len(page)
		for _, n := range page {
			if name := n.Name; strings.HasPrefix(name, base) && printable(name) == name {
				if n.Folder {
					name += "/"
				}
				names = append(names, dir+name)
			}
		}
	}
	return names, nil
}
