package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "42b": 42, "1k": 1024, "1K": 1024, "512M": 512 << 20, "10G": 10 << 30,
		"1.5GiB": 3 << 29, "2 TB": 2e12, "3MB": 3e6, " 7 ": 7,
	} {
		var s size
		require.NoError(t, s.Set(text), text)
		assert.EqualValues(t, want, s, text)
	}
	for _, text := range []string{"", "-1", "1X", "K", "1..2", "9999999T", "NaN", "1e", "0x10", "Inf"} {
		var s size
		assert.Error(t, s.Set(text), text)
	}
	for n, want := range map[size]string{0: "0", 1: "1", 1024: "1K", 1500: "1500", 10 << 30: "10G", 3 << 29: "1536M"} {
		assert.Equal(t, want, n.String())
	}
}
