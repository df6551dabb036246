package cache

import (
	"log/slog"
	"os"
	"time"

	"downloadfs/download"
)

const (
	// DefaultSize is the limit when Config.Size is 0: 10 GiB.
	DefaultSize = 10 << 30
	// DefaultStreams is the number of parallel streams when Config.Streams is 0.
	DefaultStreams = 4
)

// Config is what a Cache needs.
type Config struct {
	// Dir is the cache's directory. It is made with mode 0700 if it is missing
	// and belongs to the cache alone.
	Dir string
	// Size is the hard limit of what the directory may hold, in bytes, the index
	// included. 0 means DefaultSize.
	Size int64
	// MinFree is how many bytes the cache leaves free on the disk.
	MinFree int64
	// Source delivers what is missing. It may be nil for a cache that is only
	// listed, verified or cleared.
	Source download.Source
	// Streams is how many streams may run side by side for the readers as long as
	// each of them raises the throughput. 0 means DefaultStreams.
	Streams int
	// Logger is where the cache reports; nil means slog.Default().
	Logger *slog.Logger

	flushAfter time.Duration        // another than flushAfter, for tests
	sync       func(*os.File) error // another than syncData, for tests
}

// withDefaults returns the configuration with its zero values replaced.
func (cfg Config) withDefaults() Config {
	if cfg.Size <= 0 {
		cfg.Size = DefaultSize
	}
	cfg.MinFree = max(cfg.MinFree, 0)
	if cfg.Streams <= 0 {
		cfg.Streams = DefaultStreams
	}
	if cfg.flushAfter <= 0 {
		cfg.flushAfter = flushAfter
	}
	if cfg.sync == nil {
		cfg.sync = syncData
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg
}
