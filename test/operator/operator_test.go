// Package operator tests what operators look at, with the programs that they use: Cockpit in a
// browser, Prometheus, and the journals of many hosts in one place.
package operator

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// spec is the machine of all tests here. It has the programs of a node and those of a
// collector, so that one tree serves both.
var spec = machine.Spec{Packages: []string{
	"cockpit-bridge", "cockpit-system", "cockpit-ws", "sudo",
	"nginx-light", "prometheus", "prometheus-node-exporter",
	"systemd-journal-remote",
}}

func TestScratch(t *testing.T) {
	n := newNode(t, "RetryPauseSec=1\n")
	n.MustRun("sh", "-c", "echo archy:secret | chpasswd; adduser archy sudo; useradd -m -s /bin/bash -G archy-recovery reader; useradd -m -s /bin/bash outsider; echo reader:secret | chpasswd; echo outsider:secret|chpasswd")
	for i, name := range []string{"btcpay-db", "immich_redis", "bitcoin-knots", "lnd", "electrs", "filebrowser", "nextcloud"} {
		n.quadlet(machine.User, name, i%4, "Notify=true\nExec=-ready-after 300ms")
	}
	n.quadlet(0, "proxy", 1, "")
	n.user.Systemctl("start", "btcpay-db", "immich_redis", "bitcoin-knots", "lnd", "electrs", "filebrowser", "nextcloud")
	n.Systemctl("start", "proxy")
	n.MustRun("systemctl", "enable", "--now", instance, "archy-recovery.service")
	n.waitSaved("/var/lib/archy-recovery/1000/running-containers.json", "btcpay-db", "immich_redis", "bitcoin-knots", "lnd", "electrs", "filebrowser", "nextcloud")
	n.quadlet(machine.User, "nextcloud", 3, "Exec=-state /nowhere")
	n.user.Systemctl("stop", "filebrowser")
	n.MustRun("archy-recovery", "--uid", "1000", "user-stopped", "add", "filebrowser")
	n.crash()
	n.waitRecovered()
	l, err := net.Listen("tcp", "127.0.0.1:19090")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				d, err := n.Dial(context.Background(), "tcp", "127.0.0.1:9090")
				if err != nil {
					c.Close()
					return
				}
				go func() { io.Copy(c, d); c.Close() }()
				io.Copy(d, c)
				d.Close()
			}()
		}
	}()
	os.WriteFile("/tmp/m/ck/up", nil, 0o644)
	for {
		files, _ := filepath.Glob("../../packaging/cockpit/*")
		for _, f := range files {
			text, _ := os.ReadFile(f)
			n.WriteFile("/usr/share/cockpit/archy-recovery/"+filepath.Base(f), string(text), 0o644, 0)
		}
		cmd, err := os.ReadFile("/tmp/m/ck/cmd")
		if err == nil {
			os.Remove("/tmp/m/ck/cmd")
			if string(cmd) == "quit\n" {
				return
			}
			if string(cmd) == "crash\n" {
				n.PullPlug()
				n.BootNoWait()
			} else {
				out, err := n.Run("sh", "-c", string(cmd))
				os.WriteFile("/tmp/m/ck/out.tmp", []byte(fmt.Sprint(out, err)), 0o644)
				os.Rename("/tmp/m/ck/out.tmp", "/tmp/m/ck/out")
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
}
