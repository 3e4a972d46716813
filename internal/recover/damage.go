package recover

import (
	"fmt"
	"slices"
	"strings"
)

// A StorageCheck is what a look at podman's storage found after a crash of the host.
type StorageCheck struct {
	// GraphRoot is where it looked.
	GraphRoot string   `json:"graphRoot"`
	Damages   []Damage `json:"damages"`
	// Layers is how many layers there are, and Examined of how many the files were compared
	// with what they were made from.
	Layers   int `json:"layers"`
	Examined int `json:"examined"`
	// Unknown says what could not be looked at.
	Unknown []string `json:"unknown,omitempty"`
	// Complete: it looked at all that a crash of the host can have damaged, in time.
	Complete bool `json:"complete"`
}

// A Damage is one thing in podman's storage that a crash damaged.
type Damage struct {
	// Path is what is damaged, below the graph root, and What is the fault, in words.
	Path string `json:"path"`
	What string `json:"what"`
	// Layer is the ID of the damaged layer, empty if it is no layer.
	Layer string `json:"layer,omitempty"`
	// Images are those that need what is damaged.
	Images []StoredImage `json:"images,omitempty"`
	// Containers are those in the storage that need it, and Own is the container whose
	// own layer it is: that holds what the container wrote.
	Containers []StoredContainer `json:"containers,omitempty"`
	Own        *StoredContainer  `json:"own,omitempty"`
}

// A StoredImage is an image in podman's storage.
type StoredImage struct {
	ID    string   `json:"id"`
	Names []string `json:"names,omitempty"`
}

// A StoredContainer is a container in podman's storage.
type StoredContainer struct {
	ID    string   `json:"id"`
	Names []string `json:"names,omitempty"`
}

// Image returns the damage of the image that a reference names, nil if it is not known to
// be damaged. A reference without a tag means latest.
func (c StorageCheck) Image(reference string) *Damage {
	if reference == "" {
		return nil
	}
	tagged := reference
	if !strings.Contains(reference[strings.LastIndex(reference, "/")+1:], ":") {
		tagged += ":latest"
	}
	for i, d := range c.Damages {
		for _, image := range d.Images {
			if image.ID == reference || slices.Contains(image.Names, reference) || slices.Contains(image.Names, tagged) {
				return &c.Damages[i]
			}
		}
	}
	return nil
}

// Sharing returns the other images that need what is damaged of the image with an ID.
func (c StorageCheck) Sharing(id string) (others []StoredImage) {
	for _, d := range c.Damages {
		if !slices.ContainsFunc(d.Images, func(i StoredImage) bool { return i.ID == id }) {
			continue
		}
		for _, i := range d.Images {
			known := slices.ContainsFunc(others, func(o StoredImage) bool { return o.ID == i.ID })
			if i.ID != id && !known {
				others = append(others, i)
			}
		}
	}
	return others
}

// Container returns the damage of what the existing container with an ID was made from, or
// of its own layer; nil if none is known.
func (c StorageCheck) Container(id string) *Damage {
	for i, d := range c.Damages {
		if slices.ContainsFunc(d.Containers, func(s StoredContainer) bool { return s.ID == id }) {
			return &c.Damages[i]
		}
	}
	return nil
}

// Damaged is the error of a start that was not tried, since its image or its layer is
// damaged in podman's storage.
type Damaged struct {
	Container string
	// Image is the reference that the container uses, empty if not known.
	Image  string
	Damage Damage
}

func (e *Damaged) Error() string {
	what := "its own layer"
	if e.Damage.Own == nil {
		what = "its image " + e.Image
	}
	return fmt.Sprintf("%s is damaged in podman's storage: %s %s. See what mends it: archy-recovery repair %s. "+
		"To start it all the same: archy-recovery retry %s",
		what, e.Damage.Path, e.Damage.What, e.Container, e.Container)
}
