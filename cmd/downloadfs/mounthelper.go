package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"downloadfs/config"
)

// mountHelpers are the names by which mount(8) runs this program, for the types
// downloadfs and fuse.downloadfs. So do fstab, systemd and autofs.
var mountHelpers = []string{"mount.downloadfs", "mount.fuse.downloadfs"}

// isMountHelper reports whether a program's name is one of mountHelpers.
func isMountHelper(argv0 string) bool { return slices.Contains(mountHelpers, filepath.Base(argv0)) }

// Where root's mount keeps its files if it has no home directory.
const (
	systemStateDir = "/var/lib/downloadfs"
	systemCacheDir = "/var/cache/downloadfs"
)

// helperCall is a call by mount(8): mount.TYPE SPEC DIR [-sfnv] [-N NS] [-o OPTIONS]
// [-t TYPE].
type helperCall struct {
	spec, dir string
	flags     []string // of mount
	user      string   // the user who mounts; "" is the user who runs it
	sloppy    bool     // ignore unknown options
	fake      bool     // do everything except mounting
}

// helperUsage is what a mount helper says of itself.
const helperUsage = `Usage: mount.downloadfs URL|PROFILE DIRECTORY [-sfnv] [-o OPTIONS]

mount(8) runs this for 'mount -t downloadfs' and for lines of fstab. Each flag of
'downloadfs mount' is an option; see 'downloadfs mount --help'.
`

// runMountHelper is main for a mount helper. It returns when the mount is ready.
func runMountHelper(args []string, stdout, stderr io.Writer) int {
	switch strings.Join(args, " ") {
	case "--help", "-h":
		if _, err := io.WriteString(stdout, helperUsage); err != nil {
			return exitOther
		}
		return exitOK
	case "--version", "-V":
		return run([]string{"--" + flagVersion}, stdout, stderr)
	}
	call, err := parseHelper(args)
	if err == nil {
		err = call.run(stdout, stderr)
	}
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errTold) {
		fmt.Fprintf(stderr, "mount.downloadfs: %s\n", oneLine(err.Error()))
	}
	return exitCode(err)
}

// parseHelper reads the arguments of a mount helper.
func parseHelper(args []string) (helperCall, error) {
	var call helperCall
	var names []string
	var options string
	value := func(i *int, arg, flag string) (string, error) {
		if rest := strings.TrimPrefix(arg, flag); rest != "" {
			return rest, nil
		}
		if *i++; *i >= len(args) {
			return "", exitf(exitUsage, "%s needs a value", flag)
		}
		return args[*i], nil
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case strings.HasPrefix(arg, "-o"):
			text, err := value(&i, arg, "-o")
			if err != nil {
				return call, err
			}
			options += "," + text
		case strings.HasPrefix(arg, "-t"), strings.HasPrefix(arg, "-N"):
			if _, err := value(&i, arg, arg[:2]); err != nil {
				return call, err
			}
		case strings.HasPrefix(arg, "-") && len(arg) > 1 && strings.Trim(arg[1:], "sfnvrw") == "":
			call.sloppy = call.sloppy || strings.Contains(arg, "s")
			call.fake = call.fake || strings.Contains(arg, "f")
			if strings.Contains(arg, "r") {
				options += ",ro"
			}
		case strings.HasPrefix(arg, "-"):
			return call, exitf(exitUsage, "unknown flag %s", arg)
		default:
			names = append(names, arg)
		}
	}
	if len(names) != 2 {
		return call, exitf(exitUsage, "say what to mount and where, as in 'mount -t downloadfs URL|PROFILE DIRECTORY'")
	}
	call.spec, call.dir = names[0], names[1]
	if filepath.IsAbs(call.spec) {
		// mount(8) makes a path of the name of a profile if there happens to be such a file.
		call.spec = filepath.Base(call.spec)
	}
	words, err := splitOptions(options)
	if err != nil {
		return call, err
	}
	return call, call.options(words)
}

// splitOptions splits the text of -o at commas. A comma in double quotes or after a
// backslash belongs to its option, as in mount(8) and in fuse.
func splitOptions(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted := false
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
		}
		word.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			end()
		default:
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, exitf(exitUsage, "a quote in the mount options is not closed")
	}
	end()
	return words, nil
}

// notOurs are options for mount(8), systemd and the kernel that every file system
// gets. They do not concern this one, or it does what they say anyway.
var notOurs = []string{
	"defaults", "auto", "noauto", "user", "users", "nouser", "owner", "group", "nofail", "_netdev", "rw",
	"suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "atime", "noatime", "relatime", "diratime", "nodiratime", "strictatime", "silent", "loud",
}

// options turns mount options into flags of mount.
func (c *helperCall) options(words []string) error {
	flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	newMountCommand().Flags().VisitAll(func(f *pflag.Flag) { flags.AddFlag(f) })
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	for _, word := range words {
		key, value, valued := strings.Cut(word, "=")
		name := strings.ReplaceAll(key, "_", "-")
		switch {
		case slices.Contains(notOurs, key), strings.HasPrefix(key, "x-"), strings.HasPrefix(key, "X-"), key == "comment", key == "fsname", key == "subtype":
		case key == "ro" || key == "remount":
			return exitf(exitUsage, "the mount option %s is not supported: a list is written to ask for a download", key)
		case key == "setuid" && value != "":
			c.user = value
		case name == "daemon" && value != "" && value != "true":
			return exitf(exitUsage, "the mount option %s: mount(8) returns when the mount is ready, so it is always in the background; leave the option out", key)
		case name == "daemon":
		case flags.Lookup(name) != nil && name != "help":
			f := flags.Lookup(name)
			if !valued {
				if f.NoOptDefVal == "" {
					return exitf(exitUsage, "the mount option %s needs a value", key)
				}
				value = f.NoOptDefVal
			}
			if err := flags.Set(name, value); err != nil {
				return exitf(exitUsage, "the mount option %s: invalid value %q: %s", key, value, remedy(f, err))
			}
			c.flags = append(c.flags, "--"+name+"="+value)
		case !c.sloppy:
			if near := config.Closest(name, names); near != "" {
				return exitf(exitUsage, "unknown mount option %s; did you mean %s?", key, near)
			}
			return exitf(exitUsage, "unknown mount option %s", key)
		}
	}
	return nil
}

// run mounts in the background.
func (c *helperCall) run(stdout, stderr io.Writer) error {
	password, err := takeEnvironment(envPassword)
	if err != nil || c.fake {
		return err
	}
	home := helperHome(os.Geteuid())
	var credential *syscall.Credential
	if c.user != "" {
		if credential, home, err = userCredential(c.user); err != nil {
			return err
		}
	}
	args := append([]string{"mount", "--daemon"}, c.flags...)
	root := newRootCommand()
	root.SetOut(io.Discard) // mount(8) prints nothing either
	root.SetErr(stderr)
	return startDaemon(root, append(args, "--", c.spec, c.dir), c.dir, password, func(child *exec.Cmd) {
		// autofs and systemd wait at the mountpoint for everybody who is not in their
		// process group. The child leaves it when the mount is there.
		child.SysProcAttr.Setsid = false
		child.Env = append(child.Env, envHelper+"=1")
		if home != "" {
			child.Env = append(child.Env, "HOME="+home)
		} else { // not as flags: a profile may say otherwise
			child.Env = append(child.Env, "XDG_STATE_HOME="+filepath.Dir(systemStateDir), "XDG_CACHE_HOME="+filepath.Dir(systemCacheDir))
		}
		if credential != nil {
			child.SysProcAttr.Credential = credential
			child.Env = append(child.Env, "USER="+c.user, "LOGNAME="+c.user)
		}
	})
}

// helperHome returns the home directory of the user who runs a mount helper. mount(8)
// takes HOME out of the environment. It is "" for root, whose mounts are the system's.
func helperHome(uid int) string {
	home := os.Getenv("HOME")
	if home != "" || uid == 0 {
		return home
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return ""
	}
	return u.HomeDir
}

// userCredential returns the ids that a process of the user has.
func userCredential(name string) (*syscall.Credential, string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, "", exitf(exitUsage, "the mount option setuid: there is no user %s", name)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, "", err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, "", err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, "", err
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(n))
		}
	}
	return c, u.HomeDir, nil
}
