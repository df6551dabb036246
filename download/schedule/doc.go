// Package schedule decides when a server is asked. The [Scheduler] runs tasks as they
// fall due, but not more often than a server should be asked. The [Forecast] learns
// from a download's counters when its next poll is worthwhile.
//
// It knows neither downloads nor servers: a task is a function, and counters are
// numbers.
package schedule
