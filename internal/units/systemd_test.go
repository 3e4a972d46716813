package units

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// fakeSystemd is org.freedesktop.systemd1 on a test's bus. It answers each
// message by hand, so that a test decides in which order replies and signals
// go over the wire. Where it is more than a table, it does what systemd 257
// was seen to do.
type fakeSystemd struct {
	t     testing.TB
	conn  *dbus.Conn
	leave func() // the bus that it is on

	mu        sync.Mutex
	nextJob   uint32
	units     map[string]*fakeUnit
	aliases   map[string]string
	files     []unitFile
	manager   map[string]any // Manager's properties
	before    map[dbus.ObjectPath][]fakeJob
	gone      map[dbus.ObjectPath]bool // jobs that are no more
	onCall    func(n int) bool         // told the number of each call; says whether it is answered
	served    int                      // calls so far
	onStart   func(*startCall)
	onReload  func()
	calls     map[string]int
	called    chan string    // each method's name, for tests that wait for calls
	refs      map[string]int // unit -> clients that hold it
	lastQuery []string       // of ListUnitsByNames
}

type fakeUnit struct {
	load, active, sub string
	props             map[string]any // such as "Service.Result"
}

type unitFile struct{ Path, State string }

// fakeJob is the (usssoo) of Job.GetBefore.
type fakeJob struct {
	ID                uint32
	Unit, Type, State string
	Job, UnitAt       dbus.ObjectPath
}

// A startCall is a StartUnit call that waits for its answer.
type startCall struct {
	f    *fakeSystemd
	msg  *dbus.Message
	unit string
}

// newSystemd brings a systemd up on b. Its units start at once and work.
func newSystemd(t testing.TB, b *bus) *fakeSystemd {
	t.Helper()
	f := &fakeSystemd{
		t: t, nextJob: 100,
		units:   map[string]*fakeUnit{},
		aliases: map[string]string{},
		manager: map[string]any{"SystemState": "running"},
		before:  map[dbus.ObjectPath][]fakeJob{},
		gone:    map[dbus.ObjectPath]bool{},
		calls:   map[string]int{},
		called:  make(chan string, 4096),
		refs:    map[string]int{},
	}
	f.onStart = works
	f.connect(b)
	t.Cleanup(f.disconnect)
	return f
}

// connect brings it onto a bus.
func (f *fakeSystemd) connect(b *bus) {
	f.t.Helper()
	conn, err := dbus.Connect(b.address())
	if err != nil {
		f.t.Fatal(err)
	}
	f.conn = conn
	if _, err := conn.RequestName(systemd, dbus.NameFlagDoNotQueue); err != nil {
		f.t.Fatal(err)
	}
	messages := make(chan *dbus.Message, 4096)
	conn.Eavesdrop(messages)
	served, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		for {
			select {
			case msg, open := <-messages:
				if !open { // the bus is gone
					return
				}
				if msg.Type == dbus.TypeMethodCall {
					f.serve(msg)
				}
			case <-stop:
				return
			}
		}
	}()
	f.leave = sync.OnceFunc(func() {
		// godbus closes the channel with the connection, and may still send.
		conn.Eavesdrop(nil)
		conn.Close()
		close(stop)
		<-served
	})
}

// disconnect takes it off the bus.
func (f *fakeSystemd) disconnect() { f.leave() }

// works starts a unit at once.
func works(c *startCall) {
	job := c.f.newJob()
	c.reply(job)
	c.f.set(c.unit, "active", "running", nil)
	c.f.end(job, c.unit, "done")
}

func (f *fakeSystemd) serve(msg *dbus.Message) {
	at := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	member := msg.Headers[dbus.FieldMember].Value().(string)
	f.mu.Lock()
	f.calls[member]++
	f.served++
	ignored := f.onCall != nil && !f.onCall(f.served)
	select {
	case f.called <- member:
	default:
	}
	onStart, onReload, files, waitsFor, gone := f.onStart, f.onReload, f.files, f.before[at], f.gone[at]
	f.mu.Unlock()
	if ignored {
		return
	}
	switch member {
	case "Subscribe":
		f.reply(msg)
	case "Reload":
		if onReload != nil {
			onReload()
		}
		f.reply(msg)
	case "StartUnit":
		onStart(&startCall{f, msg, msg.Body[0].(string)})
	case "RefUnit", "UnrefUnit":
		f.mu.Lock()
		f.refs[msg.Body[0].(string)] += map[string]int{"RefUnit": 1, "UnrefUnit": -1}[member]
		f.mu.Unlock()
		f.reply(msg)
	case "ListUnitsByNames":
		f.listUnitsByNames(msg)
	case "LoadUnit":
		f.reply(msg, unitPath(msg.Body[0].(string)))
	case "GetUnit":
		if name := msg.Body[0].(string); f.has(name) {
			f.reply(msg, unitPath(name))
		} else {
			f.fail(msg, systemd+".NoSuchUnit", "Unit "+name+" not loaded.")
		}
	case "GetUnitByPID":
		if name := fmt.Sprintf("pid%d.service", msg.Body[0].(uint32)); f.has(name) {
			f.reply(msg, unitPath(name))
		} else {
			f.fail(msg, systemd+".NoUnitForPID", "PID does not belong to any loaded unit.")
		}
	case "ResetFailedUnit":
		f.reset(msg)
	case "ListUnitsByPatterns":
		f.listByPatterns(msg)
	case "ListUnitFilesByPatterns":
		f.reply(msg, files)
	case "GetBefore":
		if gone {
			f.fail(msg, "org.freedesktop.DBus.Error.UnknownObject", "Unknown object '"+string(at)+"'.")
		} else {
			f.reply(msg, waitsFor)
		}
	case "Get":
		f.get(msg, at, msg.Body[0].(string), msg.Body[1].(string))
	default:
		f.fail(msg, "org.freedesktop.DBus.Error.UnknownMethod", "Unknown method "+member)
	}
}

func (f *fakeSystemd) has(unit string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.units[unit] != nil
}

func (f *fakeSystemd) reset(msg *dbus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u := f.units[msg.Body[0].(string)]; u != nil {
		u.active = "inactive"
		f.reply(msg)
		return
	}
	f.fail(msg, systemd+".NoSuchUnit", "Unit not loaded.")
}

// listByPatterns answers ListUnitsByPatterns.
func (f *fakeSystemd) listByPatterns(msg *dbus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	states, patterns := msg.Body[0].([]string), msg.Body[1].([]string)
	listed := []listedUnit{}
	for name, u := range f.units {
		matches := func(pattern string) bool { return strings.HasSuffix(name, strings.TrimPrefix(pattern, "*")) }
		if slices.ContainsFunc(patterns, matches) && (len(states) == 0 || slices.Contains(states, u.active)) {
			listed = append(listed, listedUnit{Name: name, Load: u.load, Active: u.active, Sub: u.sub, Path: unitPath(name), JobPath: "/"})
		}
	}
	f.reply(msg, listed)
}

// changed says that a unit's state has changed.
func (f *fakeSystemd) changed(unit string) {
	f.mu.Lock()
	active := f.units[unit].active
	f.mu.Unlock()
	_ = f.conn.Emit(unitPath(unit), "org.freedesktop.DBus.Properties.PropertiesChanged", unitIfc,
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(active)}, []string{})
}

func (f *fakeSystemd) listUnitsByNames(msg *dbus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := msg.Body[0].([]string)
	f.lastQuery = asked
	listed := []listedUnit{}
	for _, name := range asked {
		prefix, _, _ := strings.Cut(name, ".service")
		if strings.HasPrefix(name, "@") || strings.ContainsAny(name, " /") {
			continue // no unit name: systemd says nothing of it
		}
		if strings.HasSuffix(prefix, "@") {
			f.fail(msg, "org.freedesktop.DBus.Error.InvalidArgs", "Unit name "+name+" is missing the instance name.")
			return
		}
		if own, ok := f.aliases[name]; ok {
			name = own
		}
		u, ok := f.units[name]
		if !ok {
			u = &fakeUnit{load: "not-found", active: "inactive", sub: "dead"}
		}
		listed = append(listed, listedUnit{
			Name: name, Description: name, Load: u.load, Active: u.active, Sub: u.sub,
			Path: unitPath(name), JobPath: "/",
		})
	}
	f.reply(msg, listed)
}

func (f *fakeSystemd) get(msg *dbus.Message, path dbus.ObjectPath, iface, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	props, key := f.manager, name
	if path != managerPath {
		props, key = nil, strings.TrimPrefix(iface, systemd+".")+"."+name
		if u := f.units[unitOf(path)]; u != nil {
			props = maps.Clone(u.props)
			if props == nil {
				props = map[string]any{}
			}
			props["Unit.ActiveState"] = u.active
			if props["Unit.Conditions"] == nil {
				props["Unit.Conditions"] = []condition{}
			}
		}
	}
	value, ok := props[key]
	if key == "Unit.ConditionResult" && !f.isHeld(path) {
		value = false // it is loaded anew for this question
	}
	if !ok {
		f.fail(msg, "org.freedesktop.DBus.Error.UnknownProperty", "Unknown interface "+iface+" or property "+name+".")
		return
	}
	f.reply(msg, dbus.MakeVariant(value))
}

// isHeld: a client keeps systemd from forgetting the unit.
func (f *fakeSystemd) isHeld(path dbus.ObjectPath) bool { return f.refs[unitOf(path)] > 0 }

var escape = strings.NewReplacer("_", "_5f", ".", "_2e", "-", "_2d", "@", "_40", ":", "_3a", "\\", "_5c")

// unitPath is the object of a unit, escaped as systemd does.
func unitPath(unit string) dbus.ObjectPath {
	return "/org/freedesktop/systemd1/unit/" + dbus.ObjectPath(escape.Replace(unit))
}

func (f *fakeSystemd) reply(msg *dbus.Message, values ...any) {
	f.send(msg, dbus.TypeMethodReply, nil, values...)
}

func (f *fakeSystemd) fail(msg *dbus.Message, name, text string) {
	f.send(msg, dbus.TypeError, map[dbus.HeaderField]dbus.Variant{dbus.FieldErrorName: dbus.MakeVariant(name)}, text)
}

func (f *fakeSystemd) send(msg *dbus.Message, kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, values ...any) {
	if msg.Flags&dbus.FlagNoReplyExpected != 0 {
		return
	}
	answer := &dbus.Message{Type: kind, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: msg.Headers[dbus.FieldSender],
		dbus.FieldReplySerial: dbus.MakeVariant(msg.Serial()),
	}}
	for field, v := range headers {
		answer.Headers[field] = v
	}
	if len(values) > 0 {
		answer.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(values...))
	}
	f.conn.Send(answer, nil)
}

func (c *startCall) reply(job dbus.ObjectPath) { c.f.reply(c.msg, job) }

func (c *startCall) refuse(name, text string) { c.f.fail(c.msg, name, text) }

// change changes what f knows and does.
func (f *fakeSystemd) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// starts has do answer StartUnit.
func (f *fakeSystemd) starts(do func(*startCall)) {
	f.change(func() { f.onStart = do })
}

// property sets a property of Manager; with nil there is none.
func (f *fakeSystemd) property(name string, value any) {
	f.change(func() {
		if f.manager[name] = value; value == nil {
			delete(f.manager, name)
		}
	})
}

// count is how often a method was called.
func (f *fakeSystemd) count(member string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[member]
}

func (f *fakeSystemd) newJob() dbus.ObjectPath {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextJob++
	return dbus.ObjectPath(fmt.Sprintf("%s/job/%d", managerPath, f.nextJob))
}

// end says JobRemoved.
func (f *fakeSystemd) end(job dbus.ObjectPath, unit, result string) {
	// The error is that of a bus that a test killed.
	_ = f.conn.Emit(managerPath, managerIfc+".JobRemoved", uint32(7), job, unit, result)
}

// set puts a unit into a state.
func (f *fakeSystemd) set(unit, active, sub string, props map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.units[unit] = &fakeUnit{"loaded", active, sub, props}
}

// newManager is what is tested, and the systemd that it drives.
func newManager(t *testing.T) (*Manager, *fakeSystemd) {
	t.Helper()
	b := newBus(t)
	return managerOn(t, b), newSystemd(t, b)
}

func managerOn(t *testing.T, b *bus) *Manager {
	m := New(b.address(), b.path("units"), "archy-recovery.service")
	m.hostBus = m.address
	t.Cleanup(m.Close)
	return m
}

// soon bounds what should end by itself: it is reached only by a test that
// fails.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// await waits for an event of the test.
func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(2 * time.Minute): // reached only by a test that fails
		t.Fatal("in vain awaited: ", what)
		panic("unreachable")
	}
}

// awaitCall waits until a method is called, once more than before.
func (f *fakeSystemd) awaitCall(member string) {
	f.t.Helper()
	for await(f.t, f.called, member) != member {
	}
}

// startResult is what a Start returned.
type startResult struct {
	outcome recover.Outcome
	err     error
}

// startAside calls Start in a goroutine of its own.
func startAside(ctx context.Context, m *Manager, unit string) <-chan startResult {
	c := make(chan startResult, 1)
	go func() {
		o, err := m.Start(ctx, unit)
		c <- startResult{o, err}
	}()
	return c
}

// settleReplies returns when every reply that f has sent has reached m: they
// come over one connection, in order.
func settleReplies(t *testing.T, m *Manager) {
	t.Helper()
	if _, err := m.SoftReboots(soon(t)); err != nil {
		t.Fatal(err)
	}
}
