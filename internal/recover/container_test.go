package recover

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled returns a container in which each field has a value other than zero.
func filled(t *testing.T) Container {
	t.Helper()
	var c Container
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.Kind() == reflect.Pointer {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		switch field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Int, reflect.Int64:
			field.SetInt(7)
		default:
			t.Fatalf("the test cannot fill the field %s", name)
		}
	}
	return c
}

// Each field of a container, also one that is new, is saved, compared and taken over
// from podman.
func TestContainerFields(t *testing.T) {
	all := filled(t)
	text, err := json.Marshal(Snapshot{Containers: []Container{all}})
	if err != nil {
		t.Fatal(err)
	}
	var read Snapshot
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Container{all}, read.Containers); diff != "" {
		t.Errorf("after it was saved (-want +got):\n%s", diff)
	}

	listed := all
	listed.Unrecovered = false
	remembered := Container{Name: all.Name}
	view := View{sightings: map[string]Sighting{all.Name: {Container: listed, State: StateRunning}}}
	if diff := cmp.Diff(listed, view.Update(remembered)); diff != "" {
		t.Errorf("after an update (-want +got):\n%s", diff)
	}
	replayed := Replay([]Container{remembered}, []HostEvent{ContainerStarted{Container: listed}})
	if diff := cmp.Diff([]Container{listed}, replayed); diff != "" {
		t.Errorf("after a replay (-want +got):\n%s", diff)
	}

	for i := range reflect.TypeFor[Container]().NumField() {
		other := all
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		if (Snapshot{Containers: []Container{all}}).SameSet(Snapshot{Containers: []Container{other}}) {
			t.Errorf("sets that differ in %s count as the same", reflect.TypeFor[Container]().Field(i).Name)
		}
	}
}
