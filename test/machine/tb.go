package machine

import (
	"fmt"
	"os"
	"slices"
)

// TB is the part of [testing.TB] that machines need; every testing.TB is one.
// [Demo] makes one for programs outside of `go test`.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Demo runs f with a TB that logs to standard error. It is for programs outside
// of `go test` that use machines. It returns the program's exit status: 1 if f
// failed, else 0. All clean-ups have run when it returns, also after a panic.
func Demo(name string, f func(TB)) (status int) {
	d := &demo{name: name}
	defer func() {
		if r := recover(); r != nil && r != any(errDemoEnd) {
			fmt.Fprintln(os.Stderr, "panic:", r)
			d.failed = true
			defer panic(r)
		}
		for _, cleanup := range slices.Backward(d.cleanups) {
			cleanup()
		}
		if d.failed {
			status = 1
		}
	}()
	f(d)
	return 0
}

// errDemoEnd is the value with which Fatalf and Skipf panic, to end f.
var errDemoEnd = fmt.Errorf("demo ended")

type demo struct {
	name     string
	failed   bool
	cleanups []func()
}

func (d *demo) Helper()          {}
func (d *demo) Name() string     { return d.name }
func (d *demo) Failed() bool     { return d.failed }
func (d *demo) Cleanup(f func()) { d.cleanups = append(d.cleanups, f) }

func (d *demo) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func (d *demo) Errorf(format string, args ...any) {
	d.failed = true
	d.Logf(format, args...)
}

func (d *demo) Fatalf(format string, args ...any) {
	d.Errorf(format, args...)
	panic(errDemoEnd)
}

func (d *demo) Skipf(format string, args ...any) {
	d.Logf(format, args...)
	panic(errDemoEnd)
}
