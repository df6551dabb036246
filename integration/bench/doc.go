// Package bench measures downloadfs against the numbers it is to reach: the
// built binary on a real mount of the embedded server, beside a baseline that
// does the same with curl or on a plain file in the same run. Only the ratios
// carry over to another machine.
//
// `make bench` prints the table; without the flag -table the package's one test
// is skipped, since a measurement is not a check.
package bench
