package recover

// BringUpToDate is Replay. It also names the containers that, by the events, died
// and were not started since.
func BringUpToDate(set []Container, events []HostEvent) (next []Container, dead map[string]bool) {
	r := newReplay(set, events)
	return r.set(), r.dead()
}
