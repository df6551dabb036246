package repository

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"html"
	"math/rand/v2"
)

// samplePDF returns a one-page document that viewers can open.
func samplePDF(title string) []byte {
	text := fmt.Sprintf("BT /F1 24 Tf 72 720 Td (%s) Tj ET", title)
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(text), text),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	}
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func sampleCSV(rows int) []byte {
	noise := rand.New(rand.NewPCG(7, 7))
	var b bytes.Buffer
	b.WriteString("month,department,planned,spent\n")
	departments := []string{"Print", "Fairs", "Online", "Büro"}
	for i := range rows {
		fmt.Fprintf(&b, "2026-%02d,%s,%d,%d\n", i%12+1, departments[i%len(departments)], 1000+noise.Uint64()%9000, noise.Uint64()%10000)
	}
	return b.Bytes()
}

func sampleHTML(title string) []byte {
	t := html.EscapeString(title)
	return fmt.Appendf(nil, "<!DOCTYPE html>\n<html lang=\"en\">\n<title>%s</title>\n<h1>%s</h1>\n<p>For immediate release.</p>\n</html>\n", t, t)
}

func sampleSVG() []byte {
	var b bytes.Buffer
	b.WriteString("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"400\" height=\"300\">\n")
	for i := range 20 {
		fmt.Fprintf(&b, "  <rect x=\"%d\" y=\"%d\" width=\"15\" height=\"%d\"/>\n", 20*i, 300-10*i, 10*i)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// sampleBMP returns a picture of a colour gradient with some grain. It compresses
// about as badly as a photo. It uses only integers, because floats differ between
// machines.
func sampleBMP(width, height int, seed uint64) []byte {
	const header = 54
	size := header + 3*width*height // rows of a width divisible by 4 need no padding
	b := make([]byte, 0, size)
	b = append(b, "BM"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, header)
	b = binary.LittleEndian.AppendUint32(b, 40)
	b = binary.LittleEndian.AppendUint32(b, uint32(width))
	b = binary.LittleEndian.AppendUint32(b, uint32(height))
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 24)
	b = append(b, make([]byte, 24)...)
	noise := rand.New(rand.NewPCG(seed, 1))
	for y := range height {
		for x := range width {
			grain := noise.Uint64()
			b = append(b, byte(x*200/width)+byte(grain)&31, byte(y*200/height)+byte(grain>>8)&31, byte(seed*30)+byte(grain>>16)&31)
		}
	}
	return b
}

// sampleWAV returns the sound of a humming machine: a triangle wave in noise, 44.1
// kHz, 16 bit, stereo.
func sampleWAV(seconds int) []byte {
	const rate, frame = 44100, 4
	size := seconds * rate * frame
	b := make([]byte, 0, 44+size)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(36+size))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*frame)
	b = binary.LittleEndian.AppendUint16(b, frame)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	noise := rand.New(rand.NewPCG(44100, 2))
	for i := range seconds * rate {
		hum := i%400*40 - 8000
		if i%400 >= 200 {
			hum = 8000 - (i%400-200)*40
		}
		grain := noise.Uint64()
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(hum+int(grain&1023))))
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(hum+int(grain>>10&1023))))
	}
	return b
}
