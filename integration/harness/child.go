package harness

import "os/exec"

// child is a process that a test has started, in a process group of its own.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Pid returns the process id, which is also the id of its group.
func (c *child) Pid() int { return c.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (c *child) Done() <-chan struct{} { return c.done }

// Running reports whether the process has not ended.
func (c *child) Running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}
