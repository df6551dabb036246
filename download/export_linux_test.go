package download

import (
	"os"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// FillDisk makes every write to the journal fail with ENOSPC until the returned
// function is called.
func (m *Manager) FillDisk() (free func()) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	must(err)
	fd := int(m.journal.file.Fd())
	kept, err := syscall.Dup(fd)
	must(err)
	must(syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC))
	must(full.Close())
	return func() {
		must(syscall.Dup3(kept, fd, syscall.O_CLOEXEC))
		must(syscall.Close(kept))
	}
}

// HoldJournal makes every change to the journal wait until the returned function
// is called.
func (m *Manager) HoldJournal() (release func()) {
	held, released := make(chan struct{}), make(chan struct{})
	m.running.Go(func() {
		_ = m.journal.update(func(*bolt.Tx) error {
			close(held)
			<-released
			return nil
		})
	})
	<-held
	return func() { close(released) }
}
