// Package operator tests what operators look at, with the programs that they use: Cockpit in a
// browser, Prometheus, and the journals of many hosts in one place.
package operator

import "archy-recovery/test/machine"

// spec is the machine of all tests here. It has the programs of a node and those of a
// collector, so that one tree serves both.
var spec = machine.Spec{Packages: []string{
	"cockpit-bridge", "cockpit-system", "cockpit-ws", "sudo",
	"nginx-light", "prometheus", "prometheus-node-exporter",
	"systemd-journal-remote",
}}
