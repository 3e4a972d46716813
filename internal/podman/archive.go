package podman

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
)

// maxArchiveJSON bounds the manifest and the configuration of an image, in bytes. podman refuses
// larger ones, too.
const maxArchiveJSON = 4 << 20

// CheckArchive reads an archive as SaveImage writes it, and returns an error unless it holds all of
// the image with an ID: the ID is the digest of the configuration, and that has the digests of the
// layers.
func (c *Client) CheckArchive(archive io.Reader, id string) error {
	digests, texts, err := readArchive(archive)
	if err != nil {
		return fmt.Errorf("the archive cannot be read: %w", err)
	}
	var images []struct {
		Config string
		Layers []string
	}
	if json.Unmarshal(texts["manifest.json"], &images) != nil || len(images) != 1 {
		return errors.New("the archive has no manifest of one image")
	}
	image := images[0]
	if digests[image.Config] != id {
		return fmt.Errorf("the archive is of another image: the digest of its configuration is %q", digests[image.Config])
	}
	var config struct {
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(texts[image.Config], &config); err != nil {
		return fmt.Errorf("the configuration in the archive cannot be read: %w", err)
	}
	if len(image.Layers) != len(config.Rootfs.DiffIDs) {
		return fmt.Errorf("the archive has %d layers, and the image %d", len(image.Layers), len(config.Rootfs.DiffIDs))
	}
	for i, layer := range image.Layers {
		if has, want := "sha256:"+digests[layer], config.Rootfs.DiffIDs[i]; has != want {
			return fmt.Errorf("layer %d in the archive is not the image's: its digest is %s, want %s", i+1, has, want)
		}
	}
	return nil
}

// readArchive returns the digest of each file of an archive, in hexadecimal digits, and the text of
// each that has JSON.
func readArchive(archive io.Reader) (digests map[string]string, texts map[string][]byte, err error) {
	digests, texts = map[string]string{}, map[string][]byte{}
	for files := tar.NewReader(archive); ; {
		file, err := files.Next()
		if errors.Is(err, io.EOF) {
			return digests, texts, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if file.Typeflag != tar.TypeReg {
			continue // a link of an old form of the archive, to a layer
		}
		if digests[file.Name] != "" {
			return nil, nil, fmt.Errorf("%q is there twice", file.Name)
		}
		hash := sha256.New()
		if path.Ext(file.Name) == ".json" && file.Size <= maxArchiveJSON {
			text, err := io.ReadAll(files)
			if err != nil {
				return nil, nil, err
			}
			texts[file.Name] = text
			hash.Write(text) // never fails
		} else if _, err := io.Copy(hash, files); err != nil {
			return nil, nil, err
		}
		digests[file.Name] = hex.EncodeToString(hash.Sum(nil))
	}
}
