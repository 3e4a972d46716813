package operator

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

const (
	nodeAddress      = "198.51.100.1"
	collectorAddress = "198.51.100.2"
)

// What a node logs about a cut arrives at the host that collects the journals, and the questions
// of docs/fleet.md have their answers there.
func TestRemoteJournal(t *testing.T) {
	t.Parallel()
	n := newNode(t, "RetryPauseSec=1\n")
	collector := machine.Start(t, machine.WithSpec(spec))
	n.exchangeCertificates(collector)
	collector.MustRun("systemctl", "enable", "--now", "systemd-journal-remote.socket")

	n.WriteFile("/etc/hostname", "node1\n", 0o644, 0)
	n.quadlet(machine.User, "db", 0, "")
	n.quadlet(machine.User, "web", 1, "")
	n.user.Systemctl("start", "db", "web")
	n.MustRun("systemctl", "enable", "--now", instance)
	n.MustRun("systemctl", "enable", "systemd-journal-upload.service")
	n.waitSaved(saved, "db", "web")
	n.quadlet(machine.User, "web", 1, "Exec=-state /nowhere")
	n.crash()
	n.Link(nodeAddress+"/24", collector, collectorAddress+"/24")
	n.MustRun("systemctl", "restart", "systemd-journal-upload.service") // it has tried, and pauses
	n.waitRecovered()

	verdicts, lost := collectorQueries(t)
	for query, want := range map[string]string{verdicts: "node1\thost-crash\tpower-loss\n", lost: "node1\tweb\t"} {
		collector.WaitFor(30*time.Second, "the answer "+want, func() bool {
			out, err := collector.Run("bash", "-c", query)
			return err == nil && strings.Contains(out, want)
		})
	}
	// The boot that was cut is there, too, as far as the node's journal has it.
	out := collector.MustRun("journalctl", "--directory=/var/log/journal/remote", "-o", "cat", "--output-fields=_BOOT_ID",
		"_SYSTEMD_UNIT="+instance)
	boots := map[string]bool{}
	for line := range strings.Lines(out) {
		boots[line] = true
	}
	if len(boots) < 2 {
		t.Errorf("the collector has entries of %d boots", len(boots))
	}
}

// collectorQueries returns the two questions of docs/fleet.md.
func collectorQueries(t *testing.T) (verdicts, lost string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	var queries []string
	for line := range strings.Lines(string(text)) {
		if query, is := strings.CutPrefix(line, "    journalctl "); is {
			queries = append(queries, "journalctl "+query)
		}
	}
	if len(queries) != 2 {
		t.Fatalf("docs/fleet.md has the questions %q", queries)
	}
	return queries[0], queries[1]
}

// exchangeCertificates makes an authority that both hosts trust, and a certificate for each, where
// docs/fleet.md says that they are.
func (n *node) exchangeCertificates(collector *machine.Machine) {
	n.t.Helper()
	dir := n.t.TempDir()
	openssl := func(args ...string) {
		n.t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			n.t.Fatalf("openssl %q: %v\n%s", args, err, out)
		}
	}
	openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
	for _, name := range []string{"node1", "collector.example"} {
		openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN="+name,
			"-addext", "subjectAltName=DNS:"+name, "-keyout", name+".key", "-out", name+".csr")
		openssl("x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
			"-copy_extensions", "copy", "-out", name+".pem")
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			n.t.Fatal(err)
		}
		return string(bytes.TrimSpace(text)) + "\n"
	}
	for _, host := range []struct {
		m             *machine.Machine
		kind, name    string
		group         string
		configuration string
	}{
		{n.Machine, "upload", "node1", "systemd-journal", "[Upload]\nURL=https://collector.example:19532\n"},
		{collector, "remote", "collector.example", "systemd-journal-remote", ""},
	} {
		key := "/etc/ssl/private/journal-" + host.kind + ".pem"
		host.m.WriteFile("/etc/ssl/ca/trusted.pem", read("ca.pem"), 0o644, 0)
		host.m.WriteFile("/etc/ssl/certs/journal-"+host.kind+".pem", read(host.name+".pem"), 0o644, 0)
		host.m.WriteFile(key, read(host.name+".key"), 0o640, 0)
		host.m.MustRun("chgrp", host.group, key)
		host.m.MustRun("chmod", "711", "/etc/ssl/private")
		host.m.WriteFile("/etc/hosts", "127.0.0.1 localhost\n"+collectorAddress+" collector.example\n", 0o644, 0)
		if host.configuration != "" {
			host.m.WriteFile("/etc/systemd/journal-upload.conf", host.configuration, 0o644, 0)
		}
	}
}
