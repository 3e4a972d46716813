// Package recover is the heart of archy-recovery: the words it thinks in
// (container, marker, verdict, plan, report) and the policy over them.
//
// It owns no I/O. What it needs of the world it asks for through the small
// interfaces in world.go; units, podman, state and sdnotify implement them.
// Time comes from the time package alone, so that every policy here runs under
// testing/synctest.
package recover
