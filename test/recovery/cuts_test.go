package recovery

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A crowd is a node with many trivial containers in several tiers.
type crowd struct {
	*node
	names []string
	plain time.Duration // how long a recovery takes when nothing is suspected
	soak  time.Duration
}

// The power comes back and goes again, as it does most often: at a moment soon after the
// boot. One such cut changes nothing for the next recovery. After two, those that were in
// flight at both start in groups; the tiers keep their order, and READY comes three soaks
// later at most. By default there are two moments and short soaks; `make soak` has ten
// moments within a minute, and the default soak.
func TestCutsInARow(t *testing.T) {
	t.Parallel()
	moments, seed := 2, uint64(1)
	within, soak, conf := 10*time.Second, 6*time.Second, "SoakSec=6\n"
	if text := os.Getenv("SOAK_CUTS"); text != "" {
		var err error
		if moments, err = strconv.Atoi(text); err != nil {
			t.Fatal("CUTS: ", err)
		}
		if seed, err = strconv.ParseUint(os.Getenv("SOAK_SEED"), 10, 64); err != nil {
			seed = uint64(time.Now().UnixNano()) % 1e6
		}
		within, soak, conf = time.Minute, recover.DefaultPolicy().Soak, ""
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := &crowd{node: newNode(t, 0, conf), soak: soak}
	c.fill(30, 5)
	c.enable()
	c.waitSaved(c.names...)
	c.measurePlain()
	for i := range moments {
		c.waitSoaked()
		c.forget()
		c.PullPlug()
		c.BootNoWait()
		after := time.Duration(rnd.Int64N(int64(within)))
		time.Sleep(after) // the moment is random: nothing is to be awaited
		c.PullPlug()
		c.Boot()
		st := c.waitRecovered()
		took := c.took(st)
		t.Logf("cut %s after the boot: READY after %s, plain %s", after, took, c.plain)
		c.wantAllUp(st)
		limit := func() time.Duration { return c.plain*12/10 + 5*time.Second }
		if took > limit() { // the host may be busier than it was
			c.waitSoaked()
			c.measurePlain()
		}
		if took > limit() {
			t.Errorf("after one more cut %s after the boot READY took %s, more than %s", after, took, limit())
		}
		if at := slices.IndexFunc(st.Containers, func(r recover.Row) bool { return r.Grouped() }); at >= 0 {
			t.Errorf("cut %d, %s after the boot: %s starts in a group", i, after, st.Containers[at].Name)
		}
	}
	c.waitSoaked()
	c.forget()
	c.cutTwice()
}

// fill makes containers in so many tiers, as one user would: with one reload, and started
// together.
func (c *crowd) fill(containers, tiers int) {
	c.t.Helper()
	for i := range containers {
		name := fmt.Sprintf("app%02d", i)
		c.names = append(c.names, name)
		c.WriteFile("/etc/containers/systemd/"+name+".container", fmt.Sprintf(
			"[Container]\nImage=%s\nContainerName=%s\nLabel=%s\n", machine.Image, name, tierLabel(i%tiers)), 0o644, 0)
	}
	c.user.Reload()
	c.user.Systemctl(append([]string{"start"}, c.names...)...)
}

// measurePlain cuts the power while nothing is in flight, and measures that recovery. The slowest
// one counts: others may use the host, too.
func (c *crowd) measurePlain() {
	c.t.Helper()
	c.crash()
	took := c.took(c.waitRecovered())
	c.t.Logf("a plain recovery: READY after %s", took)
	c.plain = max(c.plain, took)
}

// took is how long a recovery took until READY.
func (c *crowd) took(st control.Status) time.Duration { return st.Finished.Sub(st.Started) }

// forget releases all that is suspected, as an operator would.
func (c *crowd) forget() {
	c.t.Helper()
	for _, suspect := range c.quarantine().Suspects {
		c.cli("quarantine", "release", suspect.Name)
	}
}

func (n *node) quarantine() (q control.Quarantine) {
	n.t.Helper()
	out := n.cli("quarantine", "list", "--json")
	if err := json.Unmarshal([]byte(out), &q); err != nil {
		n.t.Fatalf("quarantine list: %v\n%s", err, out)
	}
	return q
}

func (c *crowd) wantAllUp(st control.Status) {
	c.t.Helper()
	for _, row := range st.Containers {
		if row.State != recover.RowUp {
			c.t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
		}
	}
	c.wantRunning(c.names...)
}

// cutTwice cuts the power twice when containers of the lower tiers are in flight. These
// are suspects then, and start in groups; what is of a higher tier starts after them.
func (c *crowd) cutTwice() {
	c.t.Helper()
	c.PullPlug()
	for range 2 {
		c.BootNoWait()
		c.waitInFlight(len(c.names) * 2 / 5)
		c.PullPlug()
	}
	c.Boot()
	st := c.waitRecovered()
	took := c.took(st)
	c.t.Logf("two cuts in flight: READY after %s, plain %s", took, c.plain)
	c.wantAllUp(st)
	c.wantGroups(st)

	q := c.quarantine()
	if len(q.Crashes) != 2 || len(q.Suspects) == 0 || len(q.Suspects) == len(c.names) {
		c.t.Fatalf("%d of %d are suspects, of %d crashes", len(q.Suspects), len(c.names), len(q.Crashes))
	}
	list := c.cli("quarantine", "list")
	// The first groups may have lived through a soak by now.
	for _, want := range []string{q.Suspects[0].Name + " ", "suspect", "[01] of 8", "after [78] more soaks, or 20",
		"power-loss", "none: it may be power loss", q.Crashes[0].BootID, q.Crashes[1].BootID} {
		if !regexp.MustCompile(want).MatchString(list) {
			c.t.Errorf("quarantine list does not say %q:\n%s", want, list)
		}
	}
	c.waitSoaked()
	if list = c.cli("quarantine", "list"); !strings.Contains(list, "1 of 8") {
		c.t.Errorf("quarantine list does not count the soak:\n%s", list)
	}
	// A second for each group and tier, or what a tier takes on a busy host: their starts are no longer
	// side by side.
	limit := func() time.Duration { return c.plain + 3*c.soak + 8*max(time.Second, c.plain/4) }
	if took > limit() { // the host may be busier than it was
		c.forget()
		c.measurePlain()
	}
	if took > limit() {
		c.t.Errorf("READY took %s, more than %s", took, limit())
	}
}

// waitInFlight waits until so many containers are in flight in this boot.
func (n *node) waitInFlight(least int) {
	n.t.Helper()
	n.waitClosely(time.Minute, fmt.Sprintf("%d containers in flight", least), func() bool {
		var f recover.InFlight
		text, err := n.ReadFile(n.dataFile("in-flight.json"))
		return err == nil && json.Unmarshal([]byte(text), &f) == nil &&
			strings.ReplaceAll(f.BootID, "-", "") == n.BootID() && len(f.Names) >= least
	})
}

// waitClosely is WaitFor for what lasts only for moments.
func (n *node) waitClosely(limit time.Duration, what string, done func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("gave up after %s: no sign of %s", limit, what)
		}
	}
}

// wantGroups checks that suspects started in groups that are about a soak apart, and no
// container before those of lower tiers.
func (c *crowd) wantGroups(st control.Status) {
	c.t.Helper()
	var began []time.Time // of each group
	rows := slices.Clone(st.Containers)
	slices.SortStableFunc(rows, func(a, b recover.Row) int { return a.Started().Compare(b.Started()) })
	last, suspects := rows[0], 0
	for _, row := range rows {
		if row.Tier < last.Tier {
			c.t.Errorf("%s of tier %d was started at %s, after %s of tier %d at %s", row.Name, row.Tier,
				row.Started().Format(time.StampMilli), last.Name, last.Tier, last.Started().Format(time.StampMilli))
		}
		last = row
		if row.Alone {
			suspects++
		}
		if row.Alone && row.Group > len(began) {
			began = append(began, row.Started())
		}
	}
	if len(began) != recover.FewGroups || suspects == len(rows) {
		c.t.Errorf("%d of %d started in %d groups, want %d groups of some",
			suspects, len(rows), len(began), recover.FewGroups)
	}
	for i := 1; i < len(began); i++ {
		if apart := began[i].Sub(began[i-1]); apart < c.soak*9/10 {
			c.t.Errorf("group %d started %s after the one before", i+1, apart)
		}
	}
}
