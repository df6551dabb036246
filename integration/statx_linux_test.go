package integration

import "golang.org/x/sys/unix"

// statx returns a file's size, as std::fs::metadata of Rust asks for it: with the
// birth time.
func statx(path string) (int64, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
	return int64(st.Size), err
}
