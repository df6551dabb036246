package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Proves S-197.
func TestRate(t *testing.T) {
	for text, want := range map[string]byteRate{
		"off": 0, "0": 0, "5M": 5 << 20, "5M/s": 5 << 20, " 500K\n": 500 << 10, "1.5MB": 1_500_000, "1024": 1024, "2G": 2 << 30,
	} {
		var r byteRate
		assert.NoError(t, r.Set(text), text)
		assert.Equal(t, want, r, text)
		var again byteRate
		assert.NoError(t, again.Set(r.String()), r.String())
		assert.Equal(t, want, again)
	}
	for _, text := range []string{"", "fast", "-1", "5Mbit", "5M/h", "100", "1K5"} {
		r := byteRate(7)
		assert.Error(t, r.Set(text), text)
		assert.Equal(t, byteRate(7), r, text)
	}
}
