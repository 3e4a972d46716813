// Package recover is the heart of archy-recovery: its words (container, marker,
// verdict, plan, row, report) and the policy over them.
//
// It does no I/O and imports no other package of archy-recovery. The interfaces in
// world.go say what recovery asks of podman, of systemd and of the journal; the
// packages podman, units and journal implement them. Package engine carries out a
// plan, package survey looks at the host, and package daemon puts them together.
package recover
