package fs

// cacheTagName is the file that tells backups that a directory holds only what can be
// had again: https://bford.info/cachedir. They look it up, so no listing has it.
const cacheTagName = "CACHEDIR.TAG"

// cacheTag begins with what the convention asks for.
const cacheTag = `Signature: 8a477f597d28d172789f06886806bc55
# This directory is a mount of downloadfs. The server has all that is in it.
# What this file is for: https://bford.info/cachedir
`
