package fs

import (
	"os"
	"strings"
)

// watch closes s.detached when the mount is attached nowhere any more that this
// process sees. The kernel ends the connection only when no mount namespace has the
// mount any more, whoever unmounts it: a container that was started meanwhile keeps a
// copy of it. The function returned ends the watch.
//
// The kernel reports each change of the mounts as an event on an open mountinfo. Go's
// poller waits for that event.
func (s *Server) watch() (stop func()) {
	id := s.fs.callers.mount.id
	if id == "" {
		return func() {}
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		s.fs.log.Debug("mounts not watched", "op", "mount", "err", err)
		return func() {}
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer s.fs.recovered("watch")
		conn, err := f.SyscallConn()
		if err != nil {
			return
		}
		_ = conn.Read(func(uintptr) bool {
			text, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || strings.Contains(string(text), " "+id+" ") {
				return false
			}
			s.fs.callers.mount.gone.Store(true)
			close(s.detached)
			return true
		})
	}()
	return func() {
		f.Close()
		<-watched
	}
}
