package main

import (
	"context"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/storage"
	"archy-recovery/internal/units"
)

// storageUnits are the units that work in podman's storage. The one that checks it leaves its
// answer in a file.
type storageUnits struct {
	units.Storage
	answer string
}

// Check runs the check, and reads its answer.
func (u storageUnits) Check(ctx context.Context, root string) (recover.StorageCheck, error) {
	if err := u.RunCheck(ctx, root); err != nil {
		return recover.StorageCheck{}, err
	}
	return storage.ReadAnswer(u.answer, root)
}
