package main

// hasKeyring reports whether there is a session bus, which a keyring needs. Without
// this check the library would start a bus.
func hasKeyring() bool { return sessionBus() != "" }
