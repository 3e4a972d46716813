package recover

import (
	"reflect"
	"slices"
	"testing"
)

// A field that Container gets is compared and carried over without a change here
// or there.
func TestContainerFields(t *testing.T) {
	full := Container{Name: "a"}
	fields := reflect.TypeFor[Container]()
	for i := range fields.NumField() {
		field := reflect.ValueOf(&full).Elem().Field(i)
		switch field.Kind() {
		case reflect.String:
			if field.IsZero() {
				field.SetString("x")
			}
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Int:
			field.SetInt(1)
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		default:
			t.Fatalf("say how a %s is made", field.Type())
		}
	}
	tier := *full.Tier
	same := full
	same.Tier = &tier
	if !(Snapshot{Containers: []Container{full}}).SameSet(Snapshot{Containers: []Container{same}}) {
		t.Error("SameSet compares pointers")
	}
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		other := full
		reflect.ValueOf(&other).Elem().Field(i).SetZero()
		if (Snapshot{Containers: []Container{full}}).SameSet(Snapshot{Containers: []Container{other}}) {
			t.Errorf("SameSet does not compare %s", name)
		}
		// A row knows these; all others come from the snapshot.
		if slices.Contains([]string{"Name", "Image", "Unit", "Unrecovered", "Missing"}, name) {
			continue
		}
		report := Report{Rows: []Row{{Name: "a", State: RowUp, Job: true}}}
		carried := report.CarriedOver([]Container{full})
		if reflect.ValueOf(carried[0]).Field(i).IsZero() {
			t.Errorf("CarriedOver drops %s", name)
		}
		view := View{}
		view.TakeList(Sightings{{Container: full}}, nil)
		if reflect.ValueOf(view.Update(Container{Name: "a"})).Field(i).IsZero() {
			t.Errorf("View.Update drops %s", name)
		}
	}
}
