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

// Config configures a Cache.
type Config struct {
	// Dir is the cache's directory. It is created with mode 0700 if it is missing,
	// and belongs to the cache alone.
	Dir string
	// Size is the hard limit of what the directory may hold, in bytes, including the
	// index. 0 means DefaultSize.
	Size int64
	// MinFree is how many bytes the cache leaves free on the disk.
	MinFree int64
	// Source delivers what is missing. It may be nil for a cache that is only listed,
	// verified or cleared.
	Source download.Source
	// Streams is the maximum number of streams that run side by side for the readers.
	// More than one run only while that raises the throughput. 0 means
	// DefaultStreams.
	Streams int
	// Logger receives the cache's log. nil means slog.Default().
	Logger *slog.Logger

	flushAfter time.Duration        // replaces the constant flushAfter in tests
	sync       func(*os.File) error // replaces syncData in tests
}

// withDefaults returns the configuration with defaults in place of zero values.
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
