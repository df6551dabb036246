package fs

import _ "embed"

const readmeName = "README"

// readme is how to use the mount, on one screen.
//
//go:embed README.txt
var readme []byte
