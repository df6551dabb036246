package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// byteRate is a number of bytes a second: "500K", "5M/s", "off". 0 is off: no limit.
type byteRate int64

// minRate is the slowest limit: with less, connections would time out.
const minRate = 1 << 10

// Set implements pflag.Value. It parses a rate.
func (r *byteRate) Set(text string) error {
	text = strings.TrimSpace(text)
	if text == "off" {
		*r = 0
		return nil
	}
	var s size
	if err := s.Set(strings.TrimSuffix(text, "/s")); err != nil {
		return errors.New("write bytes a second like 500K or 5M, or off")
	}
	if s > 0 && s < minRate {
		return errors.New("too slow; write bytes a second like 500K or 5M, or off")
	}
	*r = byteRate(s)
	return nil
}

// String returns the rate as Set takes it.
func (r *byteRate) String() string {
	if *r == 0 {
		return "off"
	}
	return (*size)(r).String()
}

// Type names the flag's value in help texts.
func (*byteRate) Type() string { return "rate" }

func addBandwidthFlag(f *pflag.FlagSet, r *byteRate) {
	f.Var(r, "bandwidth", "fetch so many bytes a second at most, such as 500K or 5M, over all connections; off for no limit")
}
