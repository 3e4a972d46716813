// Package engine carries out a plan of recovery: it decides which row is started
// when, and which waits for what. It does no I/O. It starts containers through a
// Starter, and time comes from the time package alone, so that its tests run in
// the bubbles of testing/synctest.
package engine
