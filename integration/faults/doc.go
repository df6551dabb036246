// Package faults puts scripted trouble between a client and a content server. A
// test says which fault happens at which moment, and then looks at what the user
// sees.
//
// There are two layers. Use one alone, or one in front of the other:
//
//   - [Network] is a TCP proxy (toxiproxy as a library) that delays, slows,
//     slices, cuts and resets connections without knowing what they carry.
//   - [Server] is an HTTP proxy that follows [Rule]s: the requests a rule
//     matches get its [Fault], all others reach the upstream unchanged. It
//     records every request, never a credential.
//
// A typical chain is mount → Network → Server → embedded repository. The
// package knows Alfresco's URLs, and nothing about the client under test.
package faults
