package repository

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteSamples fills dir, which must exist, with a small document library of about 19
// MB for trying things: two sites, a shared folder and the homes of admin, alice and
// bob. Bytes, names and times are the same on every machine. A file that exists
// already is an error and stays unchanged.
func WriteSamples(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	defer root.Close()
	at := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	for _, s := range samples() {
		at = at.Add(26*time.Hour + 7*time.Minute)
		if err := s.write(root, at); err != nil {
			return fmt.Errorf("write sample %q: %w", s.path, err)
		}
	}
	return nil
}

// sample is a file, or an empty folder if its path ends in a slash.
type sample struct {
	path    string
	content []byte
}

func (s sample) write(root *os.Root, at time.Time) error {
	name := filepath.FromSlash(s.path)
	if strings.HasSuffix(s.path, "/") {
		return root.MkdirAll(filepath.Clean(name), 0o700)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(s.content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return root.Chtimes(name, at, at)
}

func samples() []sample {
	const (
		marketing   = "Sites/marketing/documentLibrary/"
		engineering = "Sites/engineering/documentLibrary/"
	)
	all := []sample{
		{marketing + "Brochure 2026.pdf", samplePDF("Our products in 2026")},
		{marketing + "Budget 2026.csv", sampleCSV(400)},
		{marketing + "Meeting notes.md", []byte("# Kick-off\n\n- Brochure: final text by Friday\n- Photos: choose six\n- Budget: approved\n")},
		{marketing + "Übersicht – Straße & Café.txt", []byte("Ä Ö Ü ä ö ü ß é è ñ\n")},
		{marketing + "新製品カタログ.txt", []byte("春の新製品のご案内\n")},
		{marketing + "To be written.txt", nil},
		{marketing + "Press releases/2026-01 Launch.html", sampleHTML("Launch of the new series")},
		{marketing + "Press releases/2026-02 Award.html", sampleHTML("Award for good design")},
		{marketing + "Press releases/Drafts/2026-05 Anniversary.html", sampleHTML("Fifty years")},
		{marketing + "Press releases/Embargoed/", nil},
		{engineering + "Manual.txt", []byte(strings.Repeat("Tighten the screws crosswise, then check the torque.\n", 4000))},
		{engineering + "Plan.svg", sampleSVG()},
		{engineering + "settings.json", []byte("{\n  \"retries\": 3,\n  \"timeout\": \"30s\",\n  \"colours\": [\"red\", \"green\", \"blue\"]\n}\n")},
		{engineering + "Recordings/Machine at full load.wav", sampleWAV(70)},
		{"Shared/Holidays.csv", []byte("date,holiday\n2026-01-01,New Year's Day\n2026-05-01,May Day\n2026-12-25,Christmas Day\n")},
		{userHomes + "/admin/Notes.txt", []byte("Renew the certificate in autumn.\n")},
		{userHomes + "/alice/Diary.txt", []byte("Nobody but me and the administrator can read this.\n")},
		{userHomes + "/bob/Letters/Dear landlord.txt", []byte("The heating is cold again.\n")},
	}
	for i := range 6 {
		all = append(all, sample{fmt.Sprintf(marketing+"Photos/Office %d.bmp", i+1), sampleBMP(640, 480, uint64(i))})
	}
	return all
}
