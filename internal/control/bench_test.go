package control

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// BenchmarkStatusJSON1000 encodes the status of a host with 1000 containers.
func BenchmarkStatusJSON1000(b *testing.B) {
	at := time.Unix(1_700_000_000, 0).UTC()
	var st Status
	for i := range 1000 {
		name := fmt.Sprintf("app%04d", i)
		st.Containers = append(st.Containers, recover.Row{
			Name: name, Image: "localhost/app:1", Unit: name + ".service", Tier: i % 5, State: recover.RowUp, Queued: at,
			Attempts: []recover.Attempt{{Started: at, Ended: at.Add(time.Second), Result: "success"}},
		})
		st.Snapshot.Containers = append(st.Snapshot.Containers, recover.Container{
			Name: name, Image: "localhost/app:1", Unit: name + ".service",
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(st); err != nil {
			b.Fatal(err)
		}
	}
}
