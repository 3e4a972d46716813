package machine

import "testing"

func TestDemo(t *testing.T) {
	var order string
	status := Demo("d", func(t TB) {
		t.Cleanup(func() { order += "first" })
		t.Cleanup(func() { order += "last " })
		t.Fatalf("told to fail")
	})
	if status != 1 || order != "last first" {
		t.Errorf("status %d, cleanups %q", status, order)
	}
	if status := Demo("d", func(t TB) { t.Skipf("told to skip") }); status != 0 {
		t.Errorf("status %d of a skipped demo", status)
	}
}
