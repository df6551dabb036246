package main

// hasKeyring reports whether there is a keyring: each Mac has one.
func hasKeyring() bool { return true }
