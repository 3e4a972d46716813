package journal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// unitEnds is the entry of a stop job that ended at so many microseconds.
func unitEnds(unit string, at int) string {
	return object(`"MESSAGE_ID":"`+idUnitStopped+`"`, `"UNIT":"`+unit+`"`,
		fmt.Sprintf(`"__MONOTONIC_TIMESTAMP":"%d"`, at), byPID1)
}

// containerStarts is podman's entry of a start.
func containerStarts(name, unit string, at int) string {
	return object(`"PODMAN_EVENT":"start"`, `"PODMAN_NAME":"`+name+`"`,
		`"PODMAN_LABELS":"{\"PODMAN_SYSTEMD_UNIT\":\"`+unit+`\"}"`,
		fmt.Sprintf(`"__MONOTONIC_TIMESTAMP":"%d"`, at), byPID1)
}

// journalctl has more to print than is read: it is ended at once, and the newest
// events, which it printed first, count.
func TestMoreThanIsRead(t *testing.T) {
	r := journalctl(t, prints(unitEnds("a.service", 9_000_000))+
		"exec yes '"+unitEnds("other.service", 8_000_000)+"'")
	r.limit = 3 * time.Minute
	began := time.Now()
	got, err := r.Events(t.Context(), "b", 0, []string{"a.service"})
	if err == nil || !strings.Contains(err.Error(), "prints more than") {
		t.Errorf("error %v", err)
	}
	if len(got) == 0 || got[len(got)-1] != (recover.UnitStopped{Unit: "a.service"}) {
		t.Errorf("%d events", len(got))
	}
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
}

// Only the units of the set are asked for, and those that containers were started by.
func TestEventsOfUnitsThatMatter(t *testing.T) {
	r := journalctl(t, `case "$*" in
*" UNIT=new.service"*) `+prints(unitEnds("new.service", 7))+`;;
*" UNIT=a.service"*) `+prints(unitEnds("a.service", 9)+"\n"+containerStarts("new", "new.service", 5))+`;;
*) `+prints(unitEnds("timer.service", 8))+`
esac`)
	got, err := r.Events(t.Context(), "b", 0, []string{"a.service"})
	want := []recover.HostEvent{
		recover.ContainerStarted{Container: recover.Container{Name: "new", Unit: "new.service"}},
		recover.UnitStopped{Unit: "new.service"}, recover.UnitStopped{Unit: "a.service"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, events (-want +got):\n%s", err, diff)
	}
}

// What was before the last start of the containers is not read.
func TestEventsOfStopAtLastStart(t *testing.T) {
	r := journalctl(t, `case "$*" in *" PODMAN_NAME=a"*" UNIT=a.service"*)`+"\n"+
		prints(unitEnds("a.service", 9)+"\n"+containerStarts("a", "a.service", 5))+
		"exec yes '"+unitEnds("a.service", 4)+"'\nesac")
	r.limit = 30 * time.Second
	got, err := r.EventsOf(t.Context(), "b", 0, []recover.Container{{Name: "a", Unit: "a.service"}})
	want := []recover.HostEvent{
		recover.ContainerStarted{Container: recover.Container{Name: "a", Unit: "a.service"}},
		recover.UnitStopped{Unit: "a.service"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, events (-want +got):\n%s", err, diff)
	}
}
