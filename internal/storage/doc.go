// Package storage looks after podman's storage on disk, where the daemon itself may not look: it syncs the storage.
package storage
