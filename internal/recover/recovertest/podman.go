package recovertest

import (
	"context"
	"maps"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// Podman answers as podman does.
type Podman struct{ H *Host }

func (f Podman) List(ctx context.Context) ([]recover.Sighting, error) {
	f.H.Set(func() {
		f.H.Lists++
		f.H.Listing++
		f.H.MostListing = max(f.H.MostListing, f.H.Listing)
	})
	defer f.H.Set(func() { f.H.Listing-- })
	f.H.Mu.Lock()
	stuck := slices.Collect(maps.Keys(f.H.Stuck))
	f.H.Mu.Unlock()
	for _, name := range stuck {
		if err := f.lock(ctx, name); err != nil {
			return nil, err
		}
	}
	sleep(ctx, f.H.PodmanTakes)
	f.H.Mu.Lock()
	list := slices.Collect(maps.Values(f.H.Sightings))
	if f.H.Stale != nil {
		list, f.H.Stale = f.H.Stale, nil
	}
	err, onList := f.H.PodmanErr, f.H.OnList
	f.H.Mu.Unlock()
	if onList != nil {
		err = onList()
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// lock waits for the lock of a container.
func (f Podman) lock(ctx context.Context, name string) error {
	f.H.Mu.Lock()
	free, stuck := f.H.Stuck[name]
	f.H.Mu.Unlock()
	if !stuck {
		return nil
	}
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Inspect answers from the sightings.
func (f Podman) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	if err := f.lock(ctx, name); err != nil {
		return recover.Sighting{}, err
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.PodmanErr != nil {
		return recover.Sighting{}, f.H.PodmanErr
	}
	s, known := f.H.Sightings[name]
	if known {
		return s, nil
	}
	all := recover.Sightings(slices.Collect(maps.Values(f.H.Sightings)))
	if other, found := all.WithIDPrefix(name); found {
		return recover.Sighting{}, &recover.OtherContainer{Name: other.Name}
	}
	return recover.Sighting{}, recover.ErrNoContainer
}

func (f Podman) GenerateUnit(ctx context.Context, name string) (string, string, error) {
	if err := f.lock(ctx, name); err != nil {
		return "", "", err
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("generate %s", name)
	return "container-" + name + ".service", "text", f.H.PodmanErr
}

func (f Podman) StoppedByUser(ctx context.Context, name string) (bool, error) {
	if err := f.lock(ctx, name); err != nil {
		return false, err
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if _, known := f.H.Sightings[name]; !known && f.H.PodmanErr == nil {
		return false, recover.ErrNoContainer
	}
	return f.H.StoppedByUser[name], f.H.PodmanErr
}

func (f Podman) Binds(ctx context.Context, name string) ([]string, error) {
	if err := f.lock(ctx, name); err != nil {
		return nil, err
	}
	return f.H.Binds[name], f.H.PodmanErr
}

func (f Podman) VolumeDevice(_ context.Context, volume string) (string, error) {
	return f.H.Devices[volume], f.H.PodmanErr
}

func (f Podman) ConfigOf(ctx context.Context, name string) (recover.ContainerConfig, error) {
	if err := f.lock(ctx, name); err != nil {
		return recover.ContainerConfig{}, err
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.DependenciesAsked == nil {
		f.H.DependenciesAsked = map[string]int{}
	}
	f.H.DependenciesAsked[name]++
	return recover.ContainerConfig{Needs: f.H.Dependencies[name], HealthCheck: f.H.Checks[name] != nil}, f.H.PodmanErr
}

func (f Podman) ImageID(_ context.Context, image string) (string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if slices.Contains(f.H.NoImages, image) {
		return "", recover.ErrNoImage
	}
	return f.H.Images[image], f.H.PodmanErr
}

func (f Podman) HasImage(_ context.Context, image string) (bool, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return !slices.Contains(f.H.NoImages, image), f.H.PodmanErr
}

func (f Podman) GraphRoot(context.Context) (string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.GraphRoot, f.H.PodmanErr
}

func (f Podman) Health(ctx context.Context, name string) (recover.Health, error) {
	if err := f.lock(ctx, name); err != nil {
		return recover.Health{}, err
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	h := recover.Health{Running: true}
	if f.H.Checks[name] != nil {
		h.Command, h.Timeout, h.Passed = []string{"check"}, 30*time.Second, f.H.OwnChecks[name]
	}
	return h, f.H.PodmanErr
}

func (f Podman) TryHealth(ctx context.Context, name string, _ []string) (bool, error) {
	f.H.Mu.Lock()
	f.H.Say("check %s", name)
	check, err := f.H.Checks[name], f.H.PodmanErr
	f.H.Mu.Unlock()
	if err != nil || check == nil {
		return false, err
	}
	return check(ctx)
}

func (f Podman) RunHealthCheck(_ context.Context, name string) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("own check %s", name)
	return f.H.PodmanErr
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
