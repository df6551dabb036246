package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// umlProgram is a Linux kernel that runs as a process, of Debian's package
// user-mode-linux.
const umlProgram = "linux.uml"

//go:embed guest/xstate.c
var xstate []byte

// uml boots user-mode Linux over the machine's files.
func uml(ctx context.Context, work string) (*exec.Cmd, func(), error) {
	source, library := filepath.Join(work, "xstate.c"), filepath.Join(work, "xstate.so")
	if err := os.WriteFile(source, xstate, 0o600); err != nil {
		return nil, nil, err
	}
	if out, err := exec.Command("gcc", "-O2", "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("gcc %s: %w\n%s", source, err, out)
	}
	cmd := exec.CommandContext(ctx, umlProgram,
		"root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"init="+filepath.Join(work, guestScript), "mem=3G",
		"con=null", "con0=fd:0,fd:1", "uml_dir="+filepath.Join(work, "uml"))
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+library, "HOME="+work)
	return cmd, nil, nil
}
