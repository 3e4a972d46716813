package recover

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCompose(t *testing.T) {
	for name, c := range map[string]struct {
		labels string // project, service, depends_on
		want   *Compose
	}{
		"no labels":  {"||", nil},
		"no service": {"shop||db:service_healthy:false", nil},
		"no needs":   {"shop|db|", &Compose{Project: "shop", Service: "db"}},
		"docker compose": {
			"shop|web|db:service_healthy:false,init:service_completed_successfully:false,cache:service_started:true",
			&Compose{"shop", "web", []Need{{"db", UntilHealthy}, {"init", UntilDone}, {"cache", UntilUp}}}},
		"names only":         {"shop|web|db, cache", &Compose{"shop", "web", []Need{{"db", UntilUp}, {"cache", UntilUp}}}},
		"another condition":  {"shop|web|db:service_blessed:false", &Compose{"shop", "web", []Need{{"db", UntilUp}}}},
		"what is no service": {"shop|web|,:service_healthy:,", &Compose{Project: "shop", Service: "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			words := strings.Split(c.labels, "|")
			got := ParseCompose(map[string]string{composeProject: words[0], composeService: words[1], composeNeeds: words[2]})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestComposeNeeds: services are found by their project and their name, also with several
// containers each.
func TestComposeNeeds(t *testing.T) {
	of := func(name, project, service string, needs ...Need) Container {
		return Container{Name: name, Compose: &Compose{project, service, needs}}
	}
	got := ComposeNeeds([]Container{
		of("shop-web-1", "shop", "web", Need{"db", UntilHealthy}, Need{"gone", UntilUp}),
		of("shop-db-1", "shop", "db"), of("shop-db-2", "shop", "db"),
		of("blog-db-1", "blog", "db"), of("blog-web-1", "blog", "web", Need{"db", UntilUp}),
		{Name: "db"},
	})
	want := map[string][]Need{
		"shop-web-1": {{"shop-db-1", UntilHealthy}, {"shop-db-2", UntilHealthy}},
		"blog-web-1": {{"blog-db-1", UntilUp}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// needsOf makes needs of words such as "a>b".
func needsOf(words string) map[string][]Need {
	needs := map[string][]Need{}
	for word := range strings.FieldsSeq(words) {
		name, other, _ := strings.Cut(word, ">")
		needs[name] = append(needs[name], Need{other, UntilReady})
	}
	return needs
}

func TestWithoutCycles(t *testing.T) {
	for name, c := range map[string]struct {
		needs, kept string
		cycles      [][]string
	}{
		"none":             {"", "", nil},
		"a chain":          {"a>b b>c c>d d>e", "a>b b>c c>d d>e", nil},
		"a cycle":          {"a>b b>c c>a c>d x>a", "c>d x>a", [][]string{{"a", "b", "c"}}},
		"two cycles":       {"a>b b>a c>d d>c b>c", "b>c", [][]string{{"a", "b"}, {"c", "d"}}},
		"two in one":       {"a>b b>a b>c c>b", "", [][]string{{"a", "b", "c"}}},
		"itself":           {"a>a a>b", "a>b", nil},
		"beside a diamond": {"a>b a>c b>d c>d", "a>b a>c b>d c>d", nil},
	} {
		t.Run(name, func(t *testing.T) {
			kept, cycles := WithoutCycles(needsOf(c.needs))
			if diff := cmp.Diff(needsOf(c.kept), kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.cycles, cycles); diff != "" {
				t.Errorf("cycles (-want +got):\n%s", diff)
			}
		})
	}
	if note := CycleNote([]string{"a", "b"}); !strings.HasPrefix(note, "a, b need each other in a circle") {
		t.Error(note)
	}
}

// TestPlanOfNeeds: what a need means for the rows that are needed.
func TestPlanOfNeeds(t *testing.T) {
	set := []Container{{Name: "db", Health: HasHealthCheck}, {Name: "init"}, {Name: "same", Health: HasHealthCheck},
		{Name: "app"}, {Name: "last", Health: HasHealthCheck}}
	resolved := map[string]Resolution{}
	for _, c := range set {
		resolved[c.Name] = Resolution{Unit: "container-" + c.Name + ".service", Generated: true}
	}
	holds := Holds{Needs: map[string][]Need{"app": {{"db", UntilHealthy}, {"init", UntilDone}, {"same", UntilReady}}}}
	p := DefaultPolicy()
	rows := map[string]Row{}
	for _, row := range MakePlan(set, holds, View{}, resolved, p) {
		rows[row.Name] = row
	}
	if !rows["init"].Job || rows["db"].Job || len(rows["app"].Needs) != 3 {
		t.Errorf("%+v", rows)
	}
	// All are in one tier: nothing but app waits.
	for name, want := range map[string]HealthWait{
		"db": HealthForTier, "same": HealthForTier, "last": HealthIgnored, "app": HealthIgnored} {
		if got := rows[name].AwaitHealth; got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	p.WaitFor = WaitForActive
	for _, row := range MakePlan(set, holds, View{}, resolved, p) {
		want := HealthIgnored
		if row.Name == "db" {
			want = HealthForNeeding // no tier waits for it
		}
		if row.AwaitHealth != want {
			t.Errorf("with WaitFor=active, %s: %d, want %d", row.Name, row.AwaitHealth, want)
		}
	}
}
