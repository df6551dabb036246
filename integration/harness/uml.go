package harness

import (
	"bytes"
	"os"
	"testing"
)

// uml says that the kernel is user-mode Linux.
var uml = func() bool {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	return bytes.Contains(cpu, []byte("User Mode Linux"))
}()

// whereFile is the file of a task in /proc that says where in the kernel the task
// waits. User-mode Linux names another place in wchan, but root sees the whole stack.
var whereFile = map[bool]string{false: "wchan", true: "stack"}[uml]

// NotOnUML skips a test of something that user-mode Linux lacks.
func NotOnUML(t testing.TB, why string) {
	t.Helper()
	if uml {
		t.Skip("user-mode Linux: " + why)
	}
}
