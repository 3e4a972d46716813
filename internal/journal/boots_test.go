package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestBoots(t *testing.T) {
	list := func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// ended is a boot that ended by power loss, running is the boot that runs.
	ended := func(index int, id string, first, last int64) recover.Boot {
		return recover.Boot{Index: index, BootID: id, First: time.UnixMicro(first), Last: time.UnixMicro(last),
			Cause: recover.CausePowerLoss}
	}
	running := func(id string, first, last int64) recover.Boot {
		return recover.Boot{BootID: id, First: time.UnixMicro(first), Last: time.UnixMicro(last)}
	}
	for name, c := range map[string]struct {
		list string
		want []recover.Boot
		bad  bool
	}{
		"two boots": {
			`[{"index":-1,"boot_id":"aa","first_entry":1000000,"last_entry":2000000},` +
				`{"index":0,"boot_id":"bb","first_entry":3000000,"last_entry":4000000}]`,
			[]recover.Boot{ended(-1, "aa", 1000000, 2000000), running("bb", 3000000, 4000000)}, false},
		"clock jumped back": {
			`[{"index":-1,"boot_id":"aa","first_entry":9000000,"last_entry":8000000}]`,
			[]recover.Boot{ended(-1, "aa", 9000000, 8000000)}, false},
		"recorded, clock jumped back between boots and in one": {list("boots-clock"), []recover.Boot{
			ended(-3, "242f6776006b4f21a9a45c8ba0b58793", 1795397105882146, 1795397108210787),
			ended(-2, "b36bbc1d52054bf586610e5df209c3dd", 1795397108942283, 1795397110519306),
			ended(-1, "b459da712246479eb850b4a4952a2549", 1795197111078156, 1794897112440691),
			running("1e11cb62248945fda50998ca799690b2", 1794897112865764, 1794897113811571)}, false},
		"recorded, repeated boot ID": {list("boots-repeated"), []recover.Boot{
			ended(-1, "b9abdea57d4d42bc9edc0204a675ab2a", 1795397166215743, 1795397168394471),
			running("11111111222243338444555555555555", 1795397169196794, 1795397174568917)}, false},
		"recorded, three entries": {list("boots-three-entries"), []recover.Boot{
			ended(-1, "8b7596f3da694fd6b538da0b21d297b7", 1795397171633855, 1795397171714841),
			running("8117908127d74a80abe11d8b8add19e2", 1795397172587053, 1795397173827122)}, false},
		"none":    {`[]`, []recover.Boot{}, false},
		"no JSON": {`-1 aa Mon 2026-11-22`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, `case "$*" in *list-boots*) echo '`+c.list+
				`';; *) echo '{"MESSAGE":"last words","__CURSOR":"c"}';; esac`)
			got, err := r.Boots(t.Context(), 10)
			if (err != nil) != c.bad {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Cause != "" && len(got[i].Evidence) == 0 {
					t.Error("no evidence")
				}
				got[i].Evidence = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("boots (-want +got):\n%s", diff)
			}
		})
	}
}
