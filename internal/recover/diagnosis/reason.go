package diagnosis

import (
	"cmp"
	"regexp"
	"strings"
)

// match compares a line's words with a cause.
func (c Cause) match(from Source, text string) (names map[string]string, ok bool) {
	patterns := enginePatterns
	if from == Manager {
		patterns = managerPatterns
	}
	compiled, ok := patterns[c.ID]
	if !ok {
		return nil, false
	}
	for _, pattern := range compiled() {
		if names, ok := submatches(pattern, text); ok {
			return names, true
		}
	}
	return nil, false
}

// submatches returns the named groups that matched something.
func submatches(pattern *regexp.Regexp, text string) (names map[string]string, ok bool) {
	found := pattern.FindStringSubmatch(text)
	if found == nil {
		return nil, false
	}
	names = map[string]string{}
	for i, name := range pattern.SubexpNames() {
		if name != "" && found[i] != "" {
			names[name] = found[i]
		}
	}
	return names, true
}

// named is the reason of a cause by its ID.
func named(id string, names map[string]string, quote string, facts Facts) Reason {
	for _, c := range table {
		if c.ID == id {
			return c.reason(names, quote, facts)
		}
	}
	return Reason{ID: Unknown, Sentence: quote, Quote: quote}
}

// reason is what a cause means for an attempt.
func (c Cause) reason(names map[string]string, quote string, facts Facts) Reason {
	if names == nil {
		names = map[string]string{}
	}
	return Reason{ID: c.ID, Quote: quote, Names: names,
		Sentence: fill(c.sentence, func(name string) string { return names[name] }),
		Advice:   c.Advice(facts, names)}
}

// Advice is what to do, with the names that a reason has (or none).
func (c Cause) Advice(facts Facts, names map[string]string) string {
	systemctl, journal := "systemctl", "journalctl --unit"
	if facts.Rootless {
		systemctl, journal = "systemctl --user", "journalctl --user-unit"
	}
	return fill(c.advice, func(name string) string {
		switch name {
		case "podman":
			return "podman" // as that user
		case "systemctl":
			return systemctl
		case "journal":
			return journal
		case "unit":
			return cmp.Or(safe(facts.Unit), "UNIT")
		case "container":
			return safe(facts.Container)
		}
		return safe(names[name])
	})
}

var (
	// placeholder is {name} or {name|what stands there without it}.
	placeholder = regexp.MustCompile(`\{([a-z]+)(?:\|([^{}]*))?\}`)
	// optional is a part that is left out without the name in it.
	optional = regexp.MustCompile(`\[[^\[\]{}]*\{([a-z]+)\}[^\[\]{}]*\]`)
)

// fill puts the values into a template.
func fill(template string, value func(name string) string) string {
	template = optional.ReplaceAllStringFunc(template, func(part string) string {
		if value(optional.FindStringSubmatch(part)[1]) == "" {
			return ""
		}
		return part[1 : len(part)-1]
	})
	return placeholder.ReplaceAllStringFunc(template, func(place string) string {
		m := placeholder.FindStringSubmatch(place)
		return cmp.Or(value(m[1]), m[2])
	})
}

// shellSafe matches what a shell takes as it is, and no option.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_/@][A-Za-z0-9._/:@+=-]*$`)

// safe is a name for use in a command that a person may copy, "" for one that a
// shell would not take literally.
func safe(name string) string {
	if len(name) > maxQuoted || !shellSafe.MatchString(name) {
		return ""
	}
	return strings.TrimSuffix(name, ".")
}
