package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"downloadfs/download"
)

// stepTimeout is how long one command of the demo may take.
const stepTimeout = time.Minute

var idLine = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// steps shows the main job. It fails as soon as a step does not do what it should.
func (d *demo) steps(ctx context.Context) error {
	folder, err := d.client.Resolve(ctx, "/"+demoFolder)
	if err != nil {
		return fmt.Errorf("find the samples: %w", err)
	}
	document, err := d.client.Resolve(ctx, "/"+demoDocument)
	if err != nil {
		return fmt.Errorf("find the samples: %w", err)
	}
	d.say("")
	d.say("$ cd %s", d.downloads)

	id, err := d.create(ctx, "Write node ids to new (here a folder and a document), and the server zips them", string(folder)+" "+string(document))
	if err != nil {
		return err
	}
	if err := d.watch(ctx, id); err != nil {
		return err
	}
	if err := d.unpack(ctx, id); err != nil {
		return err
	}
	other, err := d.create(ctx, "Another one, which is cancelled; paths do as well as ids", "/"+demoFolder)
	if err != nil {
		return err
	}
	return d.cancel(ctx, other)
}

// create writes a list to new and returns the download's id.
func (d *demo) create(ctx context.Context, what, list string) (string, error) {
	d.say("\n# %s:", what)
	if _, err := d.run(ctx, "echo '"+list+"' > new"); err != nil {
		return "", err
	}
	out, err := d.run(ctx, "cat new")
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(out)
	if !idLine.MatchString(id) {
		return "", fmt.Errorf("new does not tell the download's id but %q", id)
	}
	return id, nil
}

// watch shows how the status moves.
func (d *demo) watch(ctx context.Context, id string) error {
	d.say("\n# Its directory is there at once, and its status moves:")
	if _, err := d.run(ctx, "ls -l "+id); err != nil {
		return err
	}
	first, err := d.run(ctx, "cat "+id+"/status")
	if err != nil {
		return err
	}
	if !strings.Contains(first, string(download.StatusPending)) && !strings.Contains(first, string(download.StatusInProgress)) {
		return errors.New("the download was over before its status could be seen")
	}
	// While nobody waits for it, the server is asked at longer and longer intervals.
	for range 5 {
		last, err := d.run(ctx, "sleep 1.5; cat "+id+"/status")
		if err != nil || last != first {
			return err
		}
	}
	return errors.New("the status does not move")
}

// unpack waits for the archive, as any zip tool does, and compares the files in it.
func (d *demo) unpack(ctx context.Context, id string) error {
	d.say("\n# Reading the archive waits until the server is DONE:")
	if _, err := d.run(ctx, "unzip -l "+id+"/archive.zip"); err != nil {
		return err
	}
	if out, err := d.run(ctx, "cat "+id+"/status"); err != nil {
		return err
	} else if !strings.Contains(out, string(download.StatusDone)) {
		return errors.New("the archive could be read but its status is not DONE")
	}
	d.say("\n# What is unpacked is what was asked for:")
	if _, err := d.run(ctx, fmt.Sprintf("unzip -q %s/archive.zip -d %s", id, d.unpacked)); err != nil {
		return err
	}
	for _, name := range []string{demoFolder, demoDocument} {
		original, copied := filepath.Join(d.documents, name), filepath.Join(d.unpacked, filepath.Base(name))
		if _, err := d.run(ctx, fmt.Sprintf("diff -r '%s' '%s' && echo the same", original, copied)); err != nil {
			return err
		}
	}
	return nil
}

// cancel removes a running download and checks that the server forgets it.
func (d *demo) cancel(ctx context.Context, id string) error {
	d.say("\n# Removing its directory cancels it, on the server too:")
	if out, err := d.run(ctx, "sleep 1; grep status "+id+"/status"); err != nil {
		return err
	} else if strings.Contains(out, string(download.StatusDone)) {
		return errors.New("the download was over before it could be cancelled")
	}
	if _, err := d.run(ctx, "rm -r "+id); err != nil {
		return err
	}
	out, err := d.run(ctx, "ls")
	if err != nil {
		return err
	}
	if strings.Contains(out, id) {
		return errors.New("the removed download is listed still")
	}
	err = until(ctx, "wait for the server to forget "+id, func() (bool, error) {
		_, err := d.client.Get(ctx, download.ID(id))
		if errors.Is(err, download.ErrNotFound) {
			return true, nil
		}
		return false, err
	})
	if err == nil {
		d.say("(the server has deleted it)\n")
	}
	return err
}

// run shows a command, runs it in the downloads directory, and shows and returns its
// output. The command is a child process in its own process group.
func (d *demo) run(ctx context.Context, script string) (string, error) {
	d.say("$ %s", script)
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	// The shell enters the mount only after it has started. While Go starts a process
	// with a directory, this process could not serve that directory.
	cmd := exec.CommandContext(ctx, "sh", "-c", `cd "$1" && { `+script+`; }`, "sh", d.downloads)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	both := io.MultiWriter(d.out, &out)
	cmd.Stdout, cmd.Stderr = both, both
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", fmt.Errorf("%s: %w", script, err)
	}
	return out.String(), nil
}
