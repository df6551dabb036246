package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// waitingFor returns the names below path that the threads of a /proc directory wait
// for, in a call such as open(2) or stat(2). Such a call keeps the mount busy before
// there is an open file. The kernel shows the call's arguments, and one of the first
// two is the address of the name. The working directory shows a name that is not
// absolute.
//
// It looks only into processes of this user. Another user's process could have its
// name in memory that blocks a read for ever.
func waitingFor(dir, path string) []string {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	if !isMine(info) {
		return nil
	}
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return nil
	}
	var names []string
	for _, task := range tasks {
		at := filepath.Join(dir, "task", task.Name())
		where, _ := os.ReadFile(filepath.Join(at, "wchan"))
		if !bytes.Contains(where, []byte("request_wait_answer")) && !bytes.Contains(where, []byte("fuse")) {
			continue
		}
		call, _ := os.ReadFile(filepath.Join(at, "syscall"))
		fields := strings.Fields(string(call)) // number, arguments, stack and program pointers
		if len(fields) < 3 {
			continue
		}
		for _, arg := range fields[1:3] {
			if rel, ok := below(textAt(filepath.Join(at, "mem"), arg), path); ok {
				names = append(names, rel)
			}
		}
	}
	return names
}

// textAt returns the text at an address ("0x7ffe…") of a process's memory, up to its
// NUL. It returns "" if it cannot read any.
func textAt(mem, address string) string {
	at, err := strconv.ParseInt(address, 0, 64)
	if err != nil || at <= 0 {
		return ""
	}
	f, err := os.Open(mem)
	if err != nil {
		return ""
	}
	defer f.Close()
	const maxPath = 4096
	buf := make([]byte, maxPath)
	n, _ := f.ReadAt(buf, at) // reads less at the end of the mapping
	text, _, ok := bytes.Cut(buf[:n], []byte{0})
	if !ok {
		return ""
	}
	return string(text)
}
