package units

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// A follower waits for changes of units. The waits share its feeds, which are connections: one, or more
// for more units than the bus takes matches of a connection for. It holds no lock while it waits for a
// reply.
type follower struct {
	bus string // the address

	guard sync.Mutex
	feeds []*feed // in the order of their beginning; those that are over leave at the next wait
}

// feedLingers is how long a feed stays open after its last wait. A caller that follows a unit waits again
// at once, and the feed should remember a stop job until then.
const feedLingers = 10 * time.Second

// await calls look at once, and again after each change of the unit, until that reports true. The first
// call comes after the subscription, so no change is lost. Errors are those of look, recover.ErrNoBus, or
// that of ctx.
func (f *follower) await(ctx context.Context, unit string, look func(*feed) (bool, error)) error {
	d, err := f.join(ctx, unit)
	if err != nil {
		return err
	}
	defer f.leave(d)
	changes := d.subscribe(unit)
	defer d.unsubscribe(unit, changes)
	for {
		if done, err := look(d); err != nil || done {
			return err
		}
		select {
		case _, alive := <-changes:
			if !alive {
				return fmt.Errorf("%w: it ended during the wait for %s", recover.ErrNoBus, unit)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// join returns the feed for a unit, connected. Callers that come while it connects share the attempt.
func (f *follower) join(ctx context.Context, unit string) (*feed, error) {
	f.guard.Lock()
	d := f.feedFor(unit)
	d.lease.take()
	f.guard.Unlock()
	select {
	case <-d.connected:
	case <-ctx.Done():
		f.leave(d)
		return nil, ctx.Err()
	}
	if d.err != nil {
		f.leave(d)
		return nil, noBus(f.bus, d.err)
	}
	return d, nil
}

// feedFor returns the feed that knows a unit, else one with room for it. It is called with guard held.
func (f *follower) feedFor(unit string) *feed {
	f.feeds = slices.DeleteFunc(f.feeds, (*feed).over)
	i := slices.IndexFunc(f.feeds, func(d *feed) bool { return d.knows(unit) })
	if i < 0 {
		i = slices.IndexFunc(f.feeds, (*feed).hasRoom)
	}
	if i < 0 {
		f.feeds = append(f.feeds, newFeed(f.bus))
		i = len(f.feeds) - 1
	}
	f.feeds[i].learn(unit)
	return f.feeds[i]
}

// leave ends the use of a feed. A feed without a use ends a little later.
func (f *follower) leave(d *feed) {
	f.guard.Lock()
	defer f.guard.Unlock()
	d.lease.leave(&f.guard, feedLingers, d.close)
}

// stopFollowing ends the feeds, and with them each wait.
func (f *follower) stopFollowing() {
	f.guard.Lock()
	defer f.guard.Unlock()
	for _, d := range f.feeds {
		d.lease.stop()
		d.close()
	}
	f.feeds = nil
}

// A feed is one connection that gets the signals of some units, and the waits for these.
type feed struct {
	connected chan struct{} // closed once link or err is set
	link      *link
	err       error
	ctx       context.Context // ends when the feed does
	close     context.CancelFunc

	lease lease // of the waits; guarded by the follower

	// matching is held until the match of a new wait is sent: no other wait may rely on that earlier.
	matching sync.Mutex

	mu    sync.Mutex
	ended bool
	units map[string]*followed // at most maxMatches
}

// A followed unit is one with a wait, now or earlier.
type followed struct {
	waits map[chan struct{}]bool
	// matched: the bus passes its signals on.
	matched bool
	said    map[string]string // by interface: what the last signal said, in so far as it matters here
	// stopping says that a stop job was seen since the unit last ran.
	stopping bool
	// cause is why, nil while it is not known.
	cause *stopCause
}

// newFeed returns a feed that is being connected.
func newFeed(address string) *feed {
	d := &feed{connected: make(chan struct{}), units: map[string]*followed{}}
	d.ctx, d.close = context.WithCancel(context.Background())
	go func() {
		defer close(d.connected)
		connecting, cancel := context.WithTimeout(d.ctx, callTimeout)
		defer cancel()
		conn, err := dial(connecting, address, d.listen, [][]dbus.MatchOption{{
			dbus.WithMatchSender(systemd),
			dbus.WithMatchInterface(managerIfc),
			dbus.WithMatchMember("JobNew"),
		}})
		if err != nil {
			d.err = err
			d.close()
			return
		}
		d.link = &link{conn: conn}
		context.AfterFunc(d.ctx, func() { conn.Close() })
	}()
	return d
}

// over reports whether the feed has ended, by itself or with its connection.
func (d *feed) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended || d.ctx.Err() != nil
}

// subscribe returns a channel that gets a value after each change of a unit. It closes with the feed.
func (d *feed) subscribe(unit string) chan struct{} {
	d.matching.Lock()
	defer d.matching.Unlock()
	changes, rule := d.add(unit)
	if rule == "" {
		return changes
	}
	// The bus takes this before any later call of the connection, so its reply need not be awaited. A feed
	// without the match would miss changes, so it ends, and the waits with an error.
	call := d.link.conn.BusObject().Go("org.freedesktop.DBus.AddMatch", 0, make(chan *dbus.Call, 1), rule)
	go func() {
		select {
		case <-call.Done:
			if call.Err != nil {
				d.close()
			}
		case <-d.ctx.Done():
		}
	}()
	return changes
}

// maxMatches bounds the matches of a connection for single units. dbus-daemon allows it 512 by default
// (dbus-daemon(1), max_match_rules_per_connection).
const maxMatches = 400

// unitMatch matches the signals of units that change. A start of one container changes a dozen units, such as
// mounts and slices, and systemd sends a signal for each. To read all costs a third of the CPU time that the
// daemon needs meanwhile, so a feed adds the path of a unit.
const unitMatch = "type='signal',sender='" + systemd + "',interface='org.freedesktop.DBus.Properties'," +
	"member='PropertiesChanged'"

// add adds a wait for a unit that the feed knows, and returns the match that the bus needs for that, "" if it has it.
func (d *feed) add(unit string) (changes chan struct{}, rule string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changes = make(chan struct{}, 1)
	if d.ended {
		close(changes)
		return changes, ""
	}
	u := d.units[unit]
	if len(u.waits) == 0 {
		u.said = map[string]string{} // signals were not read meanwhile
	}
	u.waits[changes] = true
	if u.matched {
		return changes, ""
	}
	u.matched = true
	return changes, unitMatch + ",path='" + string(pathOf(unit)) + "'"
}

func (d *feed) knows(unit string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.units[unit] != nil
}

func (d *feed) hasRoom() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.units) < maxMatches
}

// learn has the feed know a unit from now on.
func (d *feed) learn(unit string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.units[unit] == nil {
		d.units[unit] = &followed{waits: map[chan struct{}]bool{}}
	}
}

func (d *feed) unsubscribe(unit string, changes chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.units[unit]; u != nil {
		delete(u.waits, changes)
	}
}

// listen tells the waits of changes until the connection ends, which closes signals.
func (d *feed) listen(signals <-chan *dbus.Signal) {
	for sig := range signals {
		d.receive(sig)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	for _, u := range d.units {
		for changes := range u.waits {
			close(changes)
		}
		clear(u.waits)
	}
	d.close()
}

// receive tells the waits for a unit of a signal. A unit sends all properties with each signal, so most
// signals of a unit that notifies its status say nothing new.
func (d *feed) receive(sig *dbus.Signal) {
	var unit, iface, says string
	if sig.Name == managerIfc+".JobNew" {
		var (
			id  uint32
			job dbus.ObjectPath
		)
		if dbus.Store(sig.Body, &id, &job, &unit) != nil {
			return
		}
		iface, says = jobIfc, string(job)
	} else {
		if iface, says = lifeIn(sig); says == "" {
			return
		}
		unit = unitOf(sig.Path)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.units[unit]
	if u == nil || u.said[iface] == says {
		return
	}
	for changes := range u.waits {
		select {
		case changes <- struct{}{}:
		default: // an earlier value was not taken yet
		}
	}
	if len(u.waits) > 0 {
		u.said[iface] = says
	}
}

// lifeProperties are the properties of Unit and Service that a wait depends on.
var lifeProperties = []string{"ActiveState", "SubState", "NRestarts", "Result", "ExecMainStatus", "MainPID"}

// lifeIn returns the interface that the signal PropertiesChanged tells of, and what it says of the
// lifeProperties, "" for nothing.
func lifeIn(sig *dbus.Signal) (iface, says string) {
	iface, changed := changedIn(sig)
	var b strings.Builder
	for _, name := range lifeProperties {
		if value, has := changed[name]; has {
			fmt.Fprintf(&b, "%s=%v ", name, value.Value())
		}
	}
	return iface, b.String()
}
