// Package survey looks at the host for recovery: what podman lists, which units
// run containers, and which unit starts each one. The daemon and, without a
// daemon, the plan verb use it.
package survey
