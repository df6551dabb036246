package download

import (
	"os"
	"strconv"
	"syscall"

	"downloadfs/download/journal"
)

// FillDisk makes every write to the journal at path, which this process has open,
// fail with ENOSPC until the returned function is called.
func FillDisk(path string) (free func()) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	must(err)
	fd := descriptorOf(path)
	kept, err := syscall.Dup(fd)
	must(err)
	must(syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC))
	must(full.Close())
	return func() {
		must(syscall.Dup3(kept, fd, syscall.O_CLOEXEC))
		must(syscall.Close(kept))
	}
}

func descriptorOf(path string) int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	for _, fd := range fds {
		if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); target == path {
			n, err := strconv.Atoi(fd.Name())
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	panic(path + " is not open")
}

// HoldJournal makes every change to the journal wait until the returned function
// is called.
func (m *Manager) HoldJournal() (release func()) {
	held, released := make(chan struct{}), make(chan struct{})
	m.running.Go(func() {
		_ = m.journal.Update(func(journal.Tx) error {
			close(held)
			<-released
			return nil
		})
	})
	<-held
	return func() { close(released) }
}
