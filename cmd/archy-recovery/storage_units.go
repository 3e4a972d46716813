package main

import (
	"context"

	"archy-recovery/internal/answerfile"
	"archy-recovery/internal/cli"
	"archy-recovery/internal/daemon"
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

// networkUnit looks at the rules of podman's networks, for root's instance. It leaves its answer in
// a file.
type networkUnit struct{ manager *units.Manager }

// CheckNetworks runs the unit, and reads its answer.
func (u networkUnit) CheckNetworks(ctx context.Context) (recover.NetworkCheck, error) {
	if err := units.RunNetworkCheck(ctx, u.manager); err != nil {
		return recover.NetworkCheck{}, err
	}
	return answerfile.Read[recover.NetworkCheck](cli.NetworkAnswer)
}

// networkUnitOf is the unit of an instance, nil for a user's: no firewall of the host reaches the
// networks of rootless containers.
func networkUnitOf(i cli.Instance, m *units.Manager) daemon.NetworkUnit {
	if !i.System {
		return nil
	}
	return networkUnit{m}
}
