package main

import (
	"os"
	"strings"
	"testing"
)

// What the tests of other packages are told by variables is nothing for the commands
// that run here.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "DOWNLOADFS_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
