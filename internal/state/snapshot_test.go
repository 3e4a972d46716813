package state

import (
	"reflect"
	"slices"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// TestLegacyFiles reads the lists of the old module.
func TestLegacyFiles(t *testing.T) {
	d, reported := open(t, t.TempDir())
	put(t, d, snapshotFile, `{"timestamp": 1000, "containers": [
		{"name": "archy-bitcoin-knots", "image": "bitcoin-knots:27.1"},
		{"name": "archy-mempool-web", "image": "mempool/frontend:3.0"}]}`)
	put(t, d, userStoppedFile, `["lnd"]`)
	s, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want := recover.Snapshot{Timestamp: 1000, Containers: []recover.Container{
		{Name: "archy-bitcoin-knots", Image: "bitcoin-knots:27.1"},
		{Name: "archy-mempool-web", Image: "mempool/frontend:3.0"},
	}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	stopped, err := d.UserStopped()
	if err != nil || !slices.Equal(stopped, []string{"lnd"}) {
		t.Errorf("user-stopped is %q, %v", stopped, err)
	}
	if len(*reported) > 0 {
		t.Errorf("reported %q", *reported)
	}
}

// TestSnapshotKeepsEveryField saves a container with a value in every field, and one of a newer
// version with a field that this version does not know.
func TestSnapshotKeepsEveryField(t *testing.T) {
	var c recover.Container
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		setField(t, fields.Type().Field(i).Name, fields.Field(i))
	}
	want := recover.Snapshot{Timestamp: 1, Containers: []recover.Container{c}}
	d, _ := open(t, t.TempDir())
	if err := d.SaveSnapshot(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Snapshot()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-saved +read):\n%s", err, diff)
	}
	put(t, d, snapshotFile, `{"timestamp":1,"containers":[{"name":"a","new":{"x":1}}],"newer":true}`)
	got, err = d.Snapshot()
	want = recover.Snapshot{Timestamp: 1, Containers: []recover.Container{{Name: "a"}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-newer version +read):\n%s", err, diff)
	}
}

// setField gives a field a value that is not its zero value.
func setField(t *testing.T, name string, field reflect.Value) {
	t.Helper()
	switch field.Kind() {
	case reflect.String:
		field.SetString("x")
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Int, reflect.Int64:
		field.SetInt(1)
	case reflect.Uint64:
		field.SetUint(1)
	case reflect.Float64:
		field.SetFloat(1)
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		setField(t, name, field.Elem())
	case reflect.Slice:
		field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		setField(t, name, field.Index(0))
	case reflect.Map:
		field.Set(reflect.MakeMap(field.Type()))
		key, value := reflect.New(field.Type().Key()).Elem(), reflect.New(field.Type().Elem()).Elem()
		setField(t, name, key)
		setField(t, name, value)
		field.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range field.NumField() {
			setField(t, name, field.Field(i))
		}
	default:
		t.Fatalf("field %s: this test cannot set a %s yet", name, field.Kind())
	}
}
