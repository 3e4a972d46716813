package daemon

import (
	"context"

	"archy-recovery/internal/recover"
)

// A storedPodman is podman, but is not asked before its storage is mounted.
type storedPodman struct {
	recover.Podman
	storage *storage
}

// List implements recover.Podman.
func (p storedPodman) List(ctx context.Context) ([]recover.Sighting, error) {
	if err := p.storage.check(ctx); err != nil {
		return nil, err
	}
	return p.Podman.List(ctx)
}

// Inspect implements recover.Podman.
func (p storedPodman) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	return whenStored(ctx, p.storage, name, p.Podman.Inspect)
}

// GenerateUnit implements recover.Podman.
func (p storedPodman) GenerateUnit(ctx context.Context, name string) (unit, text string, err error) {
	if err := p.storage.check(ctx); err != nil {
		return "", "", err
	}
	return p.Podman.GenerateUnit(ctx, name)
}

// StoppedByUser implements recover.Podman.
func (p storedPodman) StoppedByUser(ctx context.Context, name string) (bool, error) {
	return whenStored(ctx, p.storage, name, p.Podman.StoppedByUser)
}

// Binds implements recover.Podman.
func (p storedPodman) Binds(ctx context.Context, name string) ([]string, error) {
	return whenStored(ctx, p.storage, name, p.Podman.Binds)
}

// ConfigOf implements recover.Podman.
func (p storedPodman) ConfigOf(ctx context.Context, name string) (recover.ContainerConfig, error) {
	return whenStored(ctx, p.storage, name, p.Podman.ConfigOf)
}

// ImageID implements recover.Podman.
func (p storedPodman) ImageID(ctx context.Context, image string) (string, error) {
	return whenStored(ctx, p.storage, image, p.Podman.ImageID)
}

// HasImage implements recover.Podman.
func (p storedPodman) HasImage(ctx context.Context, image string) (bool, error) {
	return whenStored(ctx, p.storage, image, p.Podman.HasImage)
}

// GraphRoot implements recover.Podman.
func (p storedPodman) GraphRoot(ctx context.Context) (string, error) {
	if err := p.storage.check(ctx); err != nil {
		return "", err
	}
	return p.Podman.GraphRoot(ctx)
}

// whenStored asks podman of one container or image.
func whenStored[T any](
	ctx context.Context, s *storage, name string, ask func(context.Context, string) (T, error),
) (answer T, err error) {
	if err := s.check(ctx); err != nil {
		return answer, err
	}
	return ask(ctx, name)
}
