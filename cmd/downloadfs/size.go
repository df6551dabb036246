package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes on the command line: "10G", "512MiB", "1.5TB",
// "0". K, M, G and T, with or without "iB", are powers of 1024; KB, MB, GB and
// TB are powers of 1000.
type size int64

var sizeUnits = map[string]float64{
	"": 1, "b": 1,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// Set implements pflag.Value. It parses a size.
func (s *size) Set(text string) error {
	text = strings.TrimSpace(text)
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit, known := sizeUnits[strings.ToLower(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseFloat(digits, 64)
	if !known || err != nil || n < 0 || math.IsNaN(n) || n*unit >= math.MaxInt64 {
		return errors.New("write a size like 512M or 10G")
	}
	*s = size(n * unit)
	return nil
}

// String returns the size with the largest unit that loses nothing.
func (s *size) String() string {
	for _, u := range []struct {
		name  string
		bytes size
	}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if *s >= u.bytes && *s%u.bytes == 0 {
			return strconv.FormatInt(int64(*s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Type names the flag's value in help texts.
func (*size) Type() string { return "size" }
