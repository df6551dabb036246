package fs

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"
)

// watchers say which inodes of the mount programs watch.
type watchers struct {
	all    bool
	inodes map[uint64]bool
	// plain are those that a program watches which is not built on a file library of
	// the desktops.
	plain map[uint64]bool
}

func (w watchers) watches(ino uint64) bool { return w.all || w.inodes[ino] }

// watchesEntry reports whether somebody watches a download's directory or a file in
// it.
func (w watchers) watchesEntry(serial uint64) bool {
	for k := kindDirectory; k <= kindContents; k++ {
		if w.watches(inodeNumber(serial, k)) {
			return true
		}
	}
	return false
}

// desktopsOnly reports whether somebody watches a download's directory, and all who
// watch it or its archive list the archive under the server's name for it.
func (w watchers) desktopsOnly(serial uint64) bool {
	directory, archive := inodeNumber(serial, kindDirectory), inodeNumber(serial, kindArchive)
	return !w.all && w.inodes[directory] && !w.plain[directory] && !w.plain[archive]
}

func (w watchers) none() bool { return !w.all && len(w.inodes) == 0 }

// merge adds what one program watches.
func (w *watchers) merge(one watchers, desktop bool) {
	if one.none() {
		return
	}
	w.all = w.all || one.all
	if w.inodes == nil {
		w.inodes, w.plain = make(map[uint64]bool), make(map[uint64]bool)
	}
	maps.Copy(w.inodes, one.inodes)
	if !desktop {
		maps.Copy(w.plain, one.inodes)
	}
}

// scan is the latest look at who watches.
type scan struct {
	ended time.Time
	took  time.Duration
	found bool
}

// due returns when to look again. Looking takes longer than an announcement on a
// machine with many processes. So it takes a fiftieth of the time at most while nobody
// watches. While somebody does, events are not to be late.
func (s scan) due() time.Time {
	const watched, unwatched, share = 500 * time.Millisecond, time.Second, 50
	if s.found {
		return s.ended.Add(watched)
	}
	return s.ended.Add(max(unwatched, share*s.took))
}

// watched returns who watches. It waits until looking again is due.
func (a *announcer) watched() watchers {
	a.pause(time.Until(a.scanned.due()))
	a.mu.Lock()
	unseen := !a.unseen.IsZero() && time.Since(a.unseen) < unseenWatch
	a.mu.Unlock()
	if unseen {
		return watchers{all: true}
	}
	began := time.Now()
	w := a.fs.callers.watched()
	ended := time.Now()
	a.scanned = scan{ended: ended, took: ended.Sub(began), found: !w.none()}
	return w
}

// kernelDevice returns a device, such as "0:57", as the kernel writes it in fdinfo
// behind "sdev:", or "" if it is no device.
func kernelDevice(device string) string {
	major, minor, err := deviceNumbers(device)
	if err != nil {
		return ""
	}
	const minorBits = 20
	return strconv.FormatUint(uint64(major)<<minorBits|uint64(minor), 16)
}

// deviceNumbers returns the two numbers of a device such as "0:57".
func deviceNumbers(device string) (major, minor uint32, err error) {
	a, b, _ := strings.Cut(device, ":")
	maj, err1 := strconv.ParseUint(a, 10, 32)
	mino, err2 := strconv.ParseUint(b, 10, 32)
	return uint32(maj), uint32(mino), errors.Join(err1, err2)
}

// add adds what an inotify or fanotify descriptor watches of a device, as
// kernelDevice writes it. text is its /proc/PID/fdinfo/N.
func (w *watchers) add(text, device string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "inotify" && fields[0] != "fanotify" {
			continue
		}
		var ino uint64
		here := false
		for _, f := range fields[1:] {
			if hex, ok := strings.CutPrefix(f, "ino:"); ok {
				ino, _ = strconv.ParseUint(hex, 16, 64)
			}
			here = here || f == "sdev:"+device
		}
		switch {
		case !here:
		case ino == 0: // a mark on the whole file system
			w.all = true
		default:
			if w.inodes == nil {
				w.inodes = make(map[uint64]bool)
			}
			w.inodes[ino] = true
		}
	}
}
