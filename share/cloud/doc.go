// Package cloud keeps a share in an object store: Amazon S3 and what speaks its
// protocol, Azure Blob Storage, or Google Cloud Storage. It stands on gocloud.dev/blob.
//
// Each store's SDK is behind a build tag of its own, since linking them costs every
// mount memory, whether it uses them or not: s3, azblob and gs. The tag stores stands
// for all of them. Without a tag, the package knows no store.
//
// A URL names the bucket, a prefix in it and a few parameters (see [Check]), and never a
// login. That comes from the variables, files and services that the store's own SDK
// looks at.
package cloud
