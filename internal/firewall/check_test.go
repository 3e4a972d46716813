package firewall

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// These are files of netavark 1.14, for a container with published ports in podman's own network,
// and one in a network with IPv6.
const (
	webNote = `{"container_id":"web","network_id":"2f259bab93aa","port_mappings":[{"container_port":80,"host_ip":"",` +
		`"host_port":8080,"protocol":"tcp","range":2}],"network_name":"podman","network_hash_name":"1D8721804F16F",` +
		`"container_ip_v4":"10.88.0.2","subnet_v4":"10.88.0.0/16","container_ip_v6":null,"subnet_v6":null,` +
		`"dns_port":53,"dns_server_ips":[]}`
	sixNote = `{"container_id":"six","network_id":"24e7ed4f0000","port_mappings":null,"network_name":"n6",` +
		`"subnet_v4":"10.89.0.0/24","subnet_v6":"fd00::/64"}`
)

func noted() fstest.MapFS {
	return fstest.MapFS{
		"ipam.db":                     {},
		"firewall/firewall-driver":    {Data: []byte("nftables")},
		"firewall/ports/2f25_web":     {Data: []byte(webNote)},
		"firewall/ports/24e7_six":     {Data: []byte(sixNote)},
		"firewall/networks/24e7ed4f":  {Data: []byte("{}")},
		"firewall/firewall-reload.lo": {},
	}
}

// allRules are those of noted.
func allRules() rules {
	r := newRules()
	dnat := func(number byte) *nftables.Rule { return sendOn(6, 0x1f, number) }
	r.add("nv_2f259bab_10_88_0_0_nm16", other())
	r.add("nv_2f259bab_10_88_0_0_nm16_dnat", []*nftables.Rule{dnat(0x90), dnat(0x91)})
	r.add("nv_24e7ed4f_10_89_0_0_nm24", other())
	r.add("nv_24e7ed4f_fd00--_nm64", other())
	return r
}

// other are rules of another kind.
func other() []*nftables.Rule { return []*nftables.Rule{{}, {}} }

// sendOn is `PROTOCOL dport HIGH:LOW dnat to ...`, as the kernel tells it.
func sendOn(protocol, high, low byte) *nftables.Rule {
	return &nftables.Rule{Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: []byte{high, low}},
		&expr.NAT{Type: expr.NATTypeDestNAT},
	}}
}

// looked is a check of notes and rules that do not change.
func looked(files fstest.MapFS, has rules, err error) recover.NetworkCheck {
	return check(context.Background(), func() ([]note, error) { return notes(files) },
		func() (rules, error) { return has, err })
}

func TestCheck(t *testing.T) {
	lost := func(l ...recover.LostRules) recover.NetworkCheck {
		return recover.NetworkCheck{Lost: append([]recover.LostRules{}, l...)}
	}
	ports := []string{"8080/tcp", "8081/tcp"}
	six := recover.LostRules{Container: "six", Network: "n6", Whole: true}
	web := recover.LostRules{Container: "web", Network: "podman", Whole: true, Ports: ports}
	for name, test := range map[string]struct {
		change func(fstest.MapFS, rules)
		want   recover.NetworkCheck
	}{
		"all there":   {func(fstest.MapFS, rules) {}, lost()},
		"all flushed": {func(_ fstest.MapFS, r rules) { clear(r.filled); clear(r.ports) }, lost(six, web)},
		"the rules flushed, and not the chains": {func(_ fstest.MapFS, r rules) {
			for chain := range r.filled {
				r.add(chain, nil)
			}
		}, lost(six, web)},
		"another container of the network has come since": {func(_ fstest.MapFS, r rules) {
			delete(r.ports, "nv_2f259bab_10_88_0_0_nm16_dnat")
		}, lost(recover.LostRules{Container: "web", Network: "podman", Ports: ports})},
		"one port of two": {func(_ fstest.MapFS, r rules) {
			r.add("nv_2f259bab_10_88_0_0_nm16_dnat", []*nftables.Rule{sendOn(6, 0x1f, 0x90), sendOn(17, 0x1f, 0x91)})
		}, lost(recover.LostRules{Container: "web", Network: "podman", Ports: ports[1:]})},
		"IPv6 alone": {func(_ fstest.MapFS, r rules) { delete(r.filled, "nv_24e7ed4f_fd00--_nm64") }, lost(six)},
		"an internal network has no such rules": {func(f fstest.MapFS, r rules) {
			clear(r.filled)
			f["firewall/ports/2f25_web"].Data = []byte(strings.Replace(webNote, "{", `{"internal":true,`, 1))
			delete(f, "firewall/ports/24e7_six")
		}, lost()},
		"a protocol that is not known is no proof": {func(f fstest.MapFS, r rules) {
			f["firewall/ports/2f25_web"].Data = []byte(strings.Replace(webNote, "tcp", "quux", 1))
		}, lost()},
		"no container in a bridge network": {func(f fstest.MapFS, r rules) {
			clear(r.filled)
			clear(f)
		}, lost()},
		"before netavark 1.9": {func(f fstest.MapFS, _ rules) {
			maps.DeleteFunc(f, func(name string, _ *fstest.MapFile) bool { return name != "ipam.db" })
		}, recover.NetworkCheck{Lost: lost().Lost, Unknown: errNoNotes.Error()}},
		"iptables": {func(f fstest.MapFS, _ rules) { f["firewall/firewall-driver"].Data = []byte("iptables\n") },
			recover.NetworkCheck{Lost: lost().Lost,
				Unknown: `podman's network program makes them with "iptables", and not with nftables`}},
		"a note cut short": {func(f fstest.MapFS, _ rules) { f["firewall/ports/2f25_web"].Data = []byte(webNote[:20]) },
			recover.NetworkCheck{Lost: lost().Lost, Unknown: "2f25_web: unexpected end of JSON input"}},
		"a note of another form": {func(f fstest.MapFS, _ rules) { f["firewall/ports/2f25_web"].Data = []byte("{}") },
			recover.NetworkCheck{Lost: lost().Lost, Unknown: "2f25_web: it names no container and network"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				files, has := noted(), allRules()
				test.change(files, has)
				if diff := cmp.Diff(test.want, looked(files, has, nil)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// A kernel that does not tell its rules has lost none.
func TestRulesUnknown(t *testing.T) {
	got := looked(noted(), newRules(), errors.New("not permitted"))
	if len(got.Lost) > 0 || got.Unknown != "not permitted" {
		t.Errorf("%+v", got)
	}
}

// netavark notes a network before it makes its rules: what comes a moment later is not lost.
func TestRulesComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got := check(t.Context(), func() ([]note, error) { return notes(noted()) }, func() (rules, error) {
			if time.Since(began) > time.Second {
				return allRules(), nil
			}
			return newRules(), nil
		})
		if len(got.Lost) > 0 || got.Unknown != "" {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got = check(ctx, func() ([]note, error) { return notes(noted()) }, func() (rules, error) { return newRules(), nil })
		if len(got.Lost) > 0 || got.Unknown == "" {
			t.Errorf("cut short: %+v", got)
		}
	})
}

// Only a comparison with the destination port counts, and only of a rule that sends on.
func TestSentOn(t *testing.T) {
	rule := sendOn(6, 0x1f, 0x90)
	if p, is := sentOn(rule.Exprs); !is || p != (port{6, 8080}) {
		t.Errorf("%v, %v", p, is)
	}
	if p, is := sentOn(rule.Exprs[:4]); is {
		t.Errorf("a rule without DNAT sends on %v", p)
	}
	rule.Exprs[2].(*expr.Payload).Offset = 0
	if p, is := sentOn(rule.Exprs); is {
		t.Errorf("the source port counts: %v", p)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add("nftables", webNote)
	f.Add("nftables", sixNote)
	f.Fuzz(func(_ *testing.T, driver, text string) {
		files := fstest.MapFS{"firewall/firewall-driver": {Data: []byte(driver)}, "firewall/ports/x": {Data: []byte(text)}}
		all, _ := notes(files)
		for _, n := range all {
			n.lost(allRules())
		}
	})
}
