package units

import (
	"strings"
	"testing"
)

func TestUnitOfProcess(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("pid4711.service", "active", "running", map[string]any{"Unit.Id": "asks.service"})
	if unit, err := m.UnitOf(soon(t), 4711); err != nil || unit != "asks.service" {
		t.Errorf("got %q, %v", unit, err)
	}
	if unit, err := m.UnitOf(soon(t), 4712); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("process without a unit: %q, %v", unit, err)
	}
}
