// Package storage looks after podman's storage on disk, where the daemon itself may not
// look: it syncs the storage, and finds what a crash of the host damaged in it.
package storage
