package integration

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
)

// envBeliever makes the test binary a Go program that uses an archive in a way that
// programs do, "WAY DIRECTORY", and puts what it has read into the file "got".
const envBeliever = "DOWNLOADFS_TEST_BELIEVER"

// believe returns the exit code.
func believe(spec string) int {
	way, dir, _ := strings.Cut(spec, " ")
	if err := believeIn(way, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func believeIn(way, dir string) error {
	path := filepath.Join(dir, "archive.zip")
	switch way {
	case "walk-ReadFile":
		if _, err := walked(dir); err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		return keep(data, err)
	case "CopyFS":
		if err := os.CopyFS("tree", os.DirFS(dir)); err != nil {
			return err
		}
		return os.Rename("tree/archive.zip", "got")
	case "walk-FileServer":
		if _, err := walked(dir); err != nil {
			return err
		}
		s := httptest.NewServer(http.FileServer(http.Dir(dir)))
		defer s.Close()
		resp, err := http.Get(s.URL + "/archive.zip")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		return keep(data, err)
	case "walk-ReadFull":
		size, err := walked(dir)
		if err != nil {
			return err
		}
		return readFull(path, size)
	case "statx-ReadFull":
		size, err := statx(path)
		if err != nil {
			return err
		}
		return readFull(path, size)
	}
	return fmt.Errorf("no such way: %s", way)
}

// walked returns the size of the archive that filepath.Walk tells.
func walked(dir string) (size int64, err error) {
	err = filepath.Walk(dir, func(path string, info fs.FileInfo, err error) error {
		if err == nil && info.Name() == "archive.zip" {
			size = info.Size()
		}
		return err
	})
	return size, err
}

func readFull(path string, size int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data := make([]byte, size)
	_, err = io.ReadFull(f, data)
	return keep(data, err)
}

func keep(data []byte, err error) error {
	if err != nil {
		return err
	}
	return os.WriteFile("got", data, 0o600)
}
