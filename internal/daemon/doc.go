// Package daemon is one run of archy-recovery: it finds out how the last run
// ended, has the engine bring back what ran, reports READY, keeps the running set
// on disk, and stops.
//
// Its parts know one another in one direction: Service -> keeper -> suspects ->
// board. Each has a lock that guards its own fields.
package daemon
