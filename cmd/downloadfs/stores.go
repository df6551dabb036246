//go:build s3 || azblob || gs || stores

package main

import (
	"downloadfs/share/cloud"
)

func init() {
	for _, scheme := range cloud.Schemes() {
		stores[scheme] = storeKind{
			check: cloud.Check,
			open:  cloud.Open,
		}
	}
}
