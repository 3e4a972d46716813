package daemon

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// A NetworkUnit looks at the kernel's rules of podman's networks. The daemon itself may not: that
// takes the right to change them.
type NetworkUnit interface {
	// CheckNetworks compares the rules with what podman's network program noted. It changes nothing.
	CheckNetworks(ctx context.Context) (recover.NetworkCheck, error)
}

// checkNetworksWithin bounds a look with the start of its unit.
const checkNetworksWithin = 15 * time.Second

// networks tells whether the rules of podman's networks are there, as of the last look. A firewall
// that is loaded later drops them, and nothing tells of that.
type networks struct {
	world World
	board *board
}

// look asks the unit. For a user's containers there is none: the rules of their networks are in a
// network namespace of their own, which no firewall of the host reaches.
func (n *networks) look(ctx context.Context) recover.NetworkCheck {
	if n.world.NetworkUnit == nil {
		return recover.NetworkCheck{}
	}
	ctx, cancel := context.WithTimeout(ctx, checkNetworksWithin)
	defer cancel()
	found, err := n.world.NetworkUnit.CheckNetworks(ctx)
	if err != nil {
		return recover.NetworkCheck{Unknown: err.Error()}
	}
	return found
}

// tell has the status say what a look found, in place of what the one before found.
func (n *networks) tell(found recover.NetworkCheck, stored []recover.StoredName) {
	if found.Unknown != "" {
		return // what the last look found may still be so
	}
	note, news := found.Note(stored), false
	n.board.change(func() { news, n.board.lostRules = n.board.lostRules != note, note })
	if news && note != "" {
		n.world.Log.Warn(note, "MESSAGE_ID", recover.MsgImpaired)
	}
}

// lookAtNetworks looks once after READY, if a crash of the host came before: a firewall that is loaded
// after the containers has started has dropped their rules by then.
func (s *Service) lookAtNetworks(ctx context.Context) {
	status, _ := s.Status()
	if s.world.NetworkUnit == nil || s.world.Mender == nil || s.again || !status.Recovery.Verdict.Unclean() {
		return
	}
	found := s.networks.look(ctx)
	if found.Unknown != "" && ctx.Err() == nil {
		s.world.Log.Info("it is not known whether the rules of podman's networks are there", "reason", found.Unknown)
	}
	if len(found.Lost) == 0 {
		return
	}
	stored, err := s.world.Mender.StoredNames(ctx)
	if err != nil {
		return // that podman does not answer, other notes say
	}
	s.networks.tell(found, stored)
}
