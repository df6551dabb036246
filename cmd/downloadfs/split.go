package main

import "github.com/spf13/pflag"

// partOptions are the flags that say when an archive is got in parts.
type partOptions struct {
	split       string
	splitSize   size
	maxZipEntry size
}

func (o *partOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.split, "split", "auto", "get what the server refuses as too large in parts that it takes, as one zip: auto, or off")
	f.Var(&o.splitSize, "split-size", "the content that the server is asked to zip at once, if less than its own limit")
	f.Var(&o.maxZipEntry, "max-zip-entry", "the largest file that the server is asked to zip; 0 for what a real one can")
	if err := f.MarkHidden("max-zip-entry"); err != nil {
		panic(err) // the flag was added just above
	}
}

func (o *partOptions) check() error { return oneOf("split", o.split, "auto", "off") }

// partSize returns Manager's PartSize.
func (o *partOptions) partSize() int64 {
	if o.split == "off" {
		return -1
	}
	return int64(o.splitSize)
}
