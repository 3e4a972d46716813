package firewall

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// NotesDirectory is where root's podman has netavark keep what it knows of running containers.
const NotesDirectory = "/run/containers/networks"

// maxNote bounds a file of netavark's, in bytes.
const maxNote = 1 << 20

// A note says what netavark made for one container in one network (its PortForwardConfig).
type note struct {
	Container string        `json:"container_id"`
	NetworkID string        `json:"network_id"`
	Network   string        `json:"network_name"`
	Subnet4   string        `json:"subnet_v4"`
	Subnet6   string        `json:"subnet_v6"`
	Internal  bool          `json:"internal"`
	Ports     []portMapping `json:"port_mappings"`
}

// A portMapping publishes Range ports of the host, from HostPort on. A Range of 0 is one port.
type portMapping struct {
	HostPort uint16 `json:"host_port"`
	Protocol string `json:"protocol"`
	Range    uint16 `json:"range"`
}

// errNoNotes: containers have had bridge networks in this boot, and nothing was noted.
var errNoNotes = errors.New("podman's network program has noted no rules, as before netavark 1.9")

// notes reads what netavark noted below a directory of NotesDirectory's form. There is nothing to
// read while no container has had a bridge network in this boot. The error says why it is not
// known which rules there should be.
func notes(dir fs.FS) ([]note, error) {
	driver, err := read(dir, "firewall/firewall-driver")
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(dir, "ipam.db"); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, errNoNotes
	}
	if err != nil {
		return nil, err
	}
	if driver := strings.TrimSpace(string(driver)); driver != "nftables" {
		return nil, fmt.Errorf("podman's network program makes them with %.20q, and not with nftables", driver)
	}
	files, err := fs.ReadDir(dir, "firewall/ports")
	if err != nil {
		return nil, err
	}
	var all []note
	for _, file := range files {
		text, err := read(dir, "firewall/ports/"+file.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // the container has ended
		}
		var n note
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err == nil && (n.Container == "" || n.NetworkID == "") {
			err = errors.New("it names no container and network")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		all = append(all, n)
	}
	return all, nil
}

// read reads a file of bounded size.
func read(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxNote))
}

// notesOf reads the notes of a host.
func notesOf(directory string) ([]note, error) { return notes(os.DirFS(directory)) }
