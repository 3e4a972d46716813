package state

import (
	"os"
	"testing"
)

func TestStartTime(t *testing.T) {
	line := "42 (a (b) c d) S 1 42 42 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 1 0 987654 1 2 3"
	if got, err := startTime([]byte(line)); err != nil || got != 987654 {
		t.Errorf("startTime is %d, %v", got, err)
	}
	if _, err := startTime([]byte("42 (x) S 1")); err == nil {
		t.Error("startTime accepts a line that is too short")
	}
	id, err := Here("", 0)
	if err != nil || len(id.BootID) != 32 || id.PID != os.Getpid() || id.StartTime == 0 {
		t.Errorf("Here is %+v, %v", id, err)
	}
}
