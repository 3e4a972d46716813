package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An exposition is an answer in Prometheus' text format
// (https://prometheus.io/docs/instrumenting/exposition_formats/). It is written
// by hand: the format is small, and Prometheus' library would be a third of
// this program.
type exposition struct {
	text   strings.Builder
	common []string // the labels of every sample: name, value, name, value, …
}

// A sample is a value with its own labels: name, value, name, value, …
type sample struct {
	value  float64
	labels []string
}

// single is the samples of a metric that has one.
func single(value float64, labels ...string) []sample { return []sample{{value, labels}} }

// gauge writes a metric that goes up and down.
func (e *exposition) gauge(name, help string, samples []sample) {
	e.family(name, "gauge", help, samples)
}

// counter writes a metric that only grows while the daemon runs.
func (e *exposition) counter(name, help string, samples []sample) {
	e.family(name, "counter", help, samples)
}

// family writes a metric. It leaves out a metric without samples.
func (e *exposition) family(name, kind, help string, samples []sample) {
	if len(samples) == 0 {
		return
	}
	name = "archy_recovery_" + name
	fmt.Fprintf(&e.text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	for _, s := range samples {
		e.text.WriteString(name + "{")
		labels := slices.Concat(e.common, s.labels)
		for i := 0; i < len(labels); i += 2 {
			if i > 0 {
				e.text.WriteByte(',')
			}
			fmt.Fprintf(&e.text, `%s="%s"`, labels[i], escapeLabel.Replace(labels[i+1]))
		}
		e.text.WriteString("} " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
	}
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
