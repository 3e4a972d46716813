package cli

import (
	"strings"
	"testing"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// Each kind of step has its words, a plan says how to do it, and what an image names cannot
// command the terminal.
func TestPrintRepairs(t *testing.T) {
	var steps []recover.RepairStep
	for _, kind := range recover.RepairKinds() {
		steps = append(steps, recover.RepairStep{Kind: kind, Target: "web"})
	}
	made := []recover.RepairStep{{Kind: steps[0].Kind, Target: strings.Repeat("ab", 32), Done: true},
		steps[len(steps)-1]}
	kept := recover.Repair{Container: "db", Fault: "its layer has \x1b[2Jx", Refused: "it holds data"}
	for name, test := range map[string]struct {
		repairs []recover.Repair
		unknown []string
		args    []string
		yes     bool
		want    string
	}{
		"nothing": {nil, nil, nil, false, "nothing that is down is known to be damaged\n"},
		"not all": {nil, []string{"a\x1b"}, nil, false, "not known: a�\nnothing that is down is known to be damaged\n"},
		"a plan": {[]recover.Repair{{Container: "web", Fault: "f", Steps: steps}}, nil, []string{"web"}, false,
			"web: f\n  would remove the container web\n" +
				"  would keep the name web for it, so that nothing pulls another version meanwhile\n" +
				"  would remove the image web\n  would pull web\n  would load the image web from its archive\n" +
				"  would give it the name web\n  would start web\n" +
				"Nothing was changed. Do it with: archy-recovery --uid 77 repair --yes web\n"},
		"done in part": {[]recover.Repair{{Container: "web", Fault: "f", Steps: made, Error: "e"}}, nil, nil, true,
			"web: f\n  done: remove the container abababababab\n  not done: start web\n  failed: e\n"},
		"refused": {[]recover.Repair{kept}, nil, nil, false, "db: its layer has �[2Jx\n  left to you: it holds data\n"},
	} {
		var out strings.Builder
		printRepairs(&out, request{Instance: Instance{UID: 77}, args: test.args},
			control.Repairs{Repairs: test.repairs, Unknown: test.unknown}, test.yes)
		if out.String() != test.want {
			t.Errorf("%s: %q, want %q", name, out.String(), test.want)
		}
	}
}
