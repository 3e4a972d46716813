package podman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
)

// SaveImage writes the archive of an image, given by its ID, as podman save --format
// docker-archive makes it: no compression, and no names. podman writes it to its directory for
// temporary files first. CheckArchive says whether it is whole.
// (GET /libpod/images/{name}/get)
func (c *Client) SaveImage(ctx context.Context, id string, w io.Writer) error {
	if err := checkID(id); err != nil {
		return err
	}
	answer, err := c.open(ctx, http.MethodGet, "images/"+id+"/get?format=docker-archive&compress=false", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	_, err = io.Copy(w, answer)
	return err
}

// LoadImage has podman load an archive of that size in bytes, from its current place on. The image
// gets no name. (POST /libpod/images/load)
func (c *Client) LoadImage(ctx context.Context, archive io.ReadSeeker, size int64) error {
	begin, err := archive.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://podman/v4.0.0/libpod/images/load", nil)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) {
		_, err := archive.Seek(begin, io.SeekStart)
		return io.NopCloser(archive), err
	}
	req.Body, _ = req.GetBody() // it was sought before
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/x-tar")
	answer, err := c.send(req)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("podman took only a part of it; its directory for temporary files, by default /var/tmp, "+
			"may be full: %w", err)
	}
	if err != nil {
		return err
	}
	defer answer.Close()
	var loaded struct{ Names []string }
	if err := json.NewDecoder(io.LimitReader(answer, maxAnswer)).Decode(&loaded); err != nil {
		return fmt.Errorf("podman's answer to the load of an image cannot be read: %w", err)
	}
	return nil
}
