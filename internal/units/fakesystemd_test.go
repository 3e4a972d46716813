package units

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A fakeSystemd is org.freedesktop.systemd1 on the bus of a test. A test decides in which order it sends
// replies and signals. Its answers are those of systemd 257.
type fakeSystemd struct {
	t     testing.TB
	conn  *dbus.Conn
	leave func() // disconnects it from its bus

	mu        sync.Mutex
	nextJob   uint32
	units     map[string]*fakeUnit
	aliases   map[string]string
	jobs      map[string]string          // the type of the job of a unit
	jobPaths  map[string]dbus.ObjectPath // and its path, "/" without one
	files     []unitFile
	manager   map[string]any // Manager's properties
	before    map[dbus.ObjectPath][]fakeJob
	gone      map[dbus.ObjectPath]bool // jobs that do not exist any more
	onGone    func()                   // called after it was said of one
	onCall    func(n int) bool         // gets the number of each call, reports whether to answer
	served    int                      // the number of calls
	onStart   func(*startCall)
	onReload  func()
	calls     map[string]int
	senders   map[string]bool // the connections that have called
	called    chan string     // the name of each called method
	refs      map[string]int  // unit -> number of references
	lastQuery []string        // the names in the last call of ListUnitsByNames
}

type fakeUnit struct {
	load, active, sub string
	props             map[string]any // such as "Service.Result"
}

type unitFile struct{ Path, State string }

// A fakeJob is an entry of Job.GetBefore, of type (usssoo).
type fakeJob struct {
	ID                uint32
	Unit, Type, State string
	Job, UnitAt       dbus.ObjectPath
}

// A startCall is a StartUnit call without an answer yet.
type startCall struct {
	f    *fakeSystemd
	msg  *dbus.Message
	unit string
	mode string
}

// newSystemd connects a fake systemd to a bus. Its units start at once.
func newSystemd(t testing.TB, b *bus) *fakeSystemd {
	t.Helper()
	f := &fakeSystemd{
		t: t, nextJob: 100,
		units:   map[string]*fakeUnit{},
		aliases: map[string]string{},
		jobs:    map[string]string{},

		jobPaths: map[string]dbus.ObjectPath{},
		manager:  map[string]any{"SystemState": "running"},
		before:   map[dbus.ObjectPath][]fakeJob{},
		gone:     map[dbus.ObjectPath]bool{},
		calls:    map[string]int{},
		senders:  map[string]bool{},
		called:   make(chan string, 4096),
		refs:     map[string]int{},
	}
	f.onStart = startAtOnce
	f.connect(b)
	t.Cleanup(f.disconnect)
	return f
}

// connect connects it to a bus.
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
				if !open { // the bus has ended
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
		// Without this godbus could send on the channel that it closes with the connection.
		conn.Eavesdrop(nil)
		conn.Close()
		close(stop)
		<-served
	})
}

// disconnect disconnects it from its bus.
func (f *fakeSystemd) disconnect() { f.leave() }

// startAtOnce answers a call with a job that ends at once.
func startAtOnce(c *startCall) {
	job := c.f.newJob()
	c.reply(job)
	c.f.set(c.unit, "active", "running", nil)
	c.f.end(job, c.unit, "done")
}

// serve answers a method call.
func (f *fakeSystemd) serve(msg *dbus.Message) {
	at := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	member := msg.Headers[dbus.FieldMember].Value().(string)
	f.mu.Lock()
	f.calls[member]++
	f.senders[msg.Headers[dbus.FieldSender].Value().(string)] = true
	f.served++
	ignored := f.onCall != nil && !f.onCall(f.served)
	select {
	case f.called <- member:
	default:
	}
	onStart, onReload, files, waitsFor, gone := f.onStart, f.onReload, f.files, f.before[at], f.gone[at]
	onGone := f.onGone
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
		onStart(&startCall{f, msg, msg.Body[0].(string), msg.Body[1].(string)})
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
			if onGone != nil {
				onGone()
			}
		} else {
			f.reply(msg, waitsFor)
		}
	case "GetAll":
		f.getAll(msg, at, msg.Body[0].(string))
	case "Get":
		f.get(msg, at, msg.Body[0].(string), msg.Body[1].(string))
	default:
		f.fail(msg, "org.freedesktop.DBus.Error.UnknownMethod", "Unknown method "+member)
	}
}

// has reports whether there is a unit.
func (f *fakeSystemd) has(unit string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.units[unit] != nil
}

// reset answers ResetFailedUnit.
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
			listed = append(listed, listedUnit{
				Name: name, Load: u.load, Active: u.active, Sub: u.sub, Path: unitPath(name), JobPath: "/",
			})
		}
	}
	f.reply(msg, listed)
}

// changed emits PropertiesChanged with the present state of a unit. As systemd does, it first sends the
// properties of the service.
func (f *fakeSystemd) changed(unit string) {
	f.mu.Lock()
	u := f.units[unit]
	values := map[string]dbus.Variant{"NRestarts": dbus.MakeVariant(uint32(0))}
	for key, value := range u.props {
		if name, ok := strings.CutPrefix(key, "Service."); ok {
			values[name] = dbus.MakeVariant(value)
		}
	}
	state := map[string]dbus.Variant{
		"ActiveState": dbus.MakeVariant(u.active), "SubState": dbus.MakeVariant(u.sub),
	}
	f.mu.Unlock()
	const changed = "org.freedesktop.DBus.Properties.PropertiesChanged"
	if strings.HasSuffix(unit, ".service") {
		_ = f.conn.Emit(unitPath(unit), changed, serviceIfc, values, []string{})
	}
	_ = f.conn.Emit(unitPath(unit), changed, unitIfc, state, []string{})
}

// become changes the state and properties of a unit, and emits the signals for it.
func (f *fakeSystemd) become(unit, active, sub string, props map[string]any) {
	f.set(unit, active, sub, props)
	f.changed(unit)
}

// begins begins a job of a unit, which has no effect by itself, and emits JobNew. With an empty kind the job
// of the unit ends.
func (f *fakeSystemd) begins(unit, kind string) {
	f.change(func() { f.jobs[unit] = kind })
	if kind != "" {
		_ = f.conn.Emit(managerPath, managerIfc+".JobNew", uint32(7), f.newJob(), unit)
	}
}

// listUnitsByNames answers ListUnitsByNames.
func (f *fakeSystemd) listUnitsByNames(msg *dbus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := msg.Body[0].([]string)
	f.lastQuery = asked
	listed := []listedUnit{}
	for _, name := range asked {
		prefix, _, _ := strings.Cut(name, ".service")
		if strings.HasPrefix(name, "@") || strings.ContainsAny(name, " /") {
			continue // systemd leaves out invalid names
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
		job := dbus.ObjectPath("/")
		if at := f.jobPaths[name]; at != "" {
			job = at
		}
		listed = append(listed, listedUnit{
			Name: name, Description: name, Load: u.load, Active: u.active, Sub: u.sub,
			Path: unitPath(name), JobType: f.jobs[name], JobPath: job,
		})
	}
	f.reply(msg, listed)
}

// get answers Properties.Get.
func (f *fakeSystemd) get(msg *dbus.Message, path dbus.ObjectPath, iface, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	props, key := f.manager, name
	if path != managerPath {
		u := f.unitAt(path)
		if u == nil { // it was unloaded since the call came
			f.fail(msg, "org.freedesktop.DBus.Error.UnknownObject", "Unknown object '"+string(path)+"'.")
			return
		}
		props, key = maps.Clone(u.props), strings.TrimPrefix(iface, systemd+".")+"."+name
		if props == nil {
			props = map[string]any{}
		}
		props["Unit.ActiveState"] = u.active
		for name, value := range map[string]any{"Unit.Conditions": []condition{}, "Service.NRestarts": uint32(0)} {
			if props[name] == nil {
				props[name] = value
			}
		}
	}
	value, ok := props[key]
	if key == "Unit.ConditionResult" && !f.hasReference(path) {
		value = false // systemd loads it again for this call
	}
	if !ok {
		f.fail(msg, "org.freedesktop.DBus.Error.UnknownProperty", "Unknown interface "+iface+" or property "+name+".")
		return
	}
	f.reply(msg, dbus.MakeVariant(value))
}

// getAll answers GetAll for a unit.
func (f *fakeSystemd) getAll(msg *dbus.Message, path dbus.ObjectPath, iface string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	values := map[string]dbus.Variant{}
	if u := f.unitAt(path); u != nil {
		for key, value := range u.props {
			if name, ok := strings.CutPrefix(key, strings.TrimPrefix(iface, systemd+".")+"."); ok {
				values[name] = dbus.MakeVariant(value)
			}
		}
	}
	f.reply(msg, values)
}

// unitAt returns the unit at a path, which may be that of an alias, nil without one.
func (f *fakeSystemd) unitAt(path dbus.ObjectPath) *fakeUnit {
	name := unitOf(path)
	if own, ok := f.aliases[name]; ok {
		name = own
	}
	return f.units[name]
}

// hasReference reports whether a client has a reference to the unit.
func (f *fakeSystemd) hasReference(path dbus.ObjectPath) bool { return f.refs[unitOf(path)] > 0 }

var escape = strings.NewReplacer("_", "_5f", ".", "_2e", "-", "_2d", "@", "_40", ":", "_3a", "\\", "_5c")

// unitPath returns the object path of a unit, escaped as systemd does.
func unitPath(unit string) dbus.ObjectPath {
	return "/org/freedesktop/systemd1/unit/" + dbus.ObjectPath(escape.Replace(unit))
}

func (f *fakeSystemd) reply(msg *dbus.Message, values ...any) {
	f.send(msg, dbus.TypeMethodReply, nil, values...)
}

func (f *fakeSystemd) fail(msg *dbus.Message, name, text string) {
	f.send(msg, dbus.TypeError, map[dbus.HeaderField]dbus.Variant{dbus.FieldErrorName: dbus.MakeVariant(name)}, text)
}

// send answers a message with a reply or an error.
func (f *fakeSystemd) send(
	msg *dbus.Message, kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, values ...any,
) {
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

// change calls do with the lock of f, so that do can change its fields.
func (f *fakeSystemd) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// starts lets do answer StartUnit.
func (f *fakeSystemd) starts(do func(*startCall)) {
	f.change(func() { f.onStart = do })
}

// property sets a property of Manager. With nil it removes the property.
func (f *fakeSystemd) property(name string, value any) {
	f.change(func() {
		if f.manager[name] = value; value == nil {
			delete(f.manager, name)
		}
	})
}

// count returns the number of calls of a method.
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

// end emits JobRemoved.
func (f *fakeSystemd) end(job dbus.ObjectPath, unit, result string) {
	// An error is that of a bus that a test killed.
	_ = f.conn.Emit(managerPath, managerIfc+".JobRemoved", uint32(7), job, unit, result)
}

// set sets the state and properties of a unit.
func (f *fakeSystemd) set(unit, active, sub string, props map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.units[unit] = &fakeUnit{"loaded", active, sub, props}
}

// awaitCall waits for the next call of a method.
func (f *fakeSystemd) awaitCall(member string) {
	f.t.Helper()
	for await(f.t, f.called, member) != member {
	}
}
