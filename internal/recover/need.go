package recover

import (
	"maps"
	"slices"
	"strings"
)

// A Need says that a container waits for another one before it starts. It never keeps it
// from starting: once that one has failed for good, it starts all the same.
type Need struct {
	Name  string    `json:"name"`
	Until NeedUntil `json:"until"`
}

// NeedUntil is until when a container waits for another one.
type NeedUntil string

// The values of NeedUntil.
const (
	UntilReady   NeedUntil = "ready"   // it is up, and healthy if others wait for that; a job: it has ended
	UntilUp      NeedUntil = "up"      // it is up
	UntilHealthy NeedUntil = "healthy" // its health check has passed, if it has one
	UntilDone    NeedUntil = "done"    // it has ended
)

// Compose is what the labels of compose say of a container (docs/recovery.md).
type Compose struct {
	Project string `json:"project"`
	Service string `json:"service"`
	// Needs names services of the project.
	Needs []Need `json:"needs,omitempty"`
}

// The labels that docker compose and podman-compose write.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeNeeds   = "com.docker.compose.depends_on"
)

// composeUntil translates the conditions of compose.
var composeUntil = map[string]NeedUntil{
	"service_started":                UntilUp,
	"service_healthy":                UntilHealthy,
	"service_completed_successfully": UntilDone,
}

// ParseCompose reads the labels of compose, nil if there are none. The needs are
// "db:service_healthy:false,cache:service_started:true"; the last word is about restarts
// by compose itself.
func ParseCompose(labels map[string]string) *Compose {
	c := Compose{Project: labels[composeProject], Service: labels[composeService]}
	if c.Project == "" || c.Service == "" {
		return nil
	}
	for _, text := range strings.Split(labels[composeNeeds], ",") {
		words := strings.Split(strings.TrimSpace(text), ":")
		if words[0] == "" {
			continue
		}
		need := Need{words[0], UntilUp}
		if len(words) > 1 && composeUntil[words[1]] != "" {
			need.Until = composeUntil[words[1]]
		}
		c.Needs = append(c.Needs, need)
	}
	return &c
}

// ComposeNeeds are, by container, the containers that each one needs by its labels.
func ComposeNeeds(containers []Container) map[string][]Need {
	type service struct{ project, name string }
	of := map[service][]string{}
	for _, c := range containers {
		if c.Compose != nil {
			s := service{c.Compose.Project, c.Compose.Service}
			of[s] = append(of[s], c.Name)
		}
	}
	needs := map[string][]Need{}
	for _, c := range containers {
		if c.Compose == nil {
			continue
		}
		for _, need := range c.Compose.Needs {
			for _, name := range of[service{c.Compose.Project, need.Name}] {
				needs[c.Name] = append(needs[c.Name], Need{name, need.Until})
			}
		}
	}
	return needs
}

// WithoutCycles returns the needs without those that lie on a cycle, and the names in each
// cycle.
func WithoutCycles(needs map[string][]Need) (kept map[string][]Need, cycles [][]string) {
	reach := map[string]map[string]bool{}
	for name := range needs {
		reach[name] = reachable(needs, name)
	}
	kept = map[string][]Need{}
	found := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(needs)) {
		var cycle []string
		for _, other := range slices.Sorted(maps.Keys(reach[name])) {
			if reach[other][name] {
				cycle = append(cycle, other)
			}
		}
		if len(cycle) > 1 && !found[name] {
			cycles = append(cycles, cycle)
			for _, member := range cycle {
				found[member] = true
			}
		}
		for _, need := range needs[name] {
			if !slices.Contains(cycle, need.Name) && need.Name != name {
				kept[name] = append(kept[name], need)
			}
		}
	}
	return kept, cycles
}

// reachable are the names that one needs, directly or through others.
func reachable(needs map[string][]Need, name string) map[string]bool {
	seen := map[string]bool{}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		for _, need := range needs[todo[0]] {
			if !seen[need.Name] {
				seen[need.Name] = true
				todo = append(todo, need.Name)
			}
		}
	}
	return seen
}

// CycleNote says that the order of a cycle is ignored.
func CycleNote(cycle []string) string {
	return strings.Join(cycle, ", ") + " need each other in a circle: recovery ignores the order among them. " +
		"Remove one of the dependencies."
}

// heedNeeds marks the rows of which others need more than that they are up.
func heedNeeds(rows []Row) {
	byName := map[string]*Row{}
	for i := range rows {
		byName[rows[i].Name] = &rows[i]
	}
	for _, row := range rows {
		for _, need := range row.Needs {
			other := byName[need.Name]
			if other == nil || other.State != RowQueued || row.State != RowQueued {
				continue
			}
			switch need.Until {
			case UntilHealthy:
				other.AwaitHealth = max(other.AwaitHealth, HealthForNeeding)
			case UntilDone: // it runs to its end, whatever starts it
				other.Job = true
			}
		}
	}
}
