package recovery

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
	"archy-recovery/test/software"
)

// A shop is the stack of one owner.
type shop struct {
	*node
	stack  software.Stack
	client *software.Client
	writer *software.Writer
}

// shops are one for root and one for the user, on one machine, which run and are in the
// snapshots.
func shops(t *testing.T) (all []*shop) {
	t.Helper()
	deb := artifact.Package(t)
	m := machine.Start(t, machine.WithSpec(machine.Spec{Images: software.Images}), machine.Timeout(5*time.Minute))
	m.Install(deb)
	created := make(chan error)
	for i, uid := range []int{0, machine.User} {
		n := &node{m, t, uid, m.As(uid)}
		n.enable()
		s := &shop{node: n, stack: software.Stack{UID: uid, Port: 8080 + i}}
		for path, text := range s.stack.Files() {
			owner := 0
			if strings.HasPrefix(path, "/home/") {
				owner = uid
			}
			m.WriteFile(path, text, 0o644, owner)
		}
		s.client = software.NewClient(m.Dial, fmt.Sprintf("192.0.2.10:%d", s.stack.Port), time.Minute)
		all = append(all, s)
		go func() {
			_, err := n.user.Run("sh", "-ec", s.stack.Create())
			created <- err
		}()
	}
	for range all {
		if err := <-created; err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range all {
		s.waitSaved(s.stack.Names()...)
	}
	return all
}

// Databases, a web server and an application as people run them, for root and for a user,
// with the defaults of the package. The plug is pulled while they write. Then everything
// starts in its order and at its first attempt, although the databases replay their
// logs. Each row that was acknowledged is there, and the application answers.
func TestRealSoftware(t *testing.T) {
	t.Parallel()
	all := shops(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, fmt.Errorf("it takes longer than 3 minutes"))
	defer cancel()
	for _, s := range all {
		s.writer = software.Write(s.client)
		defer s.writer.Stop()
	}
	for _, s := range all {
		if err := s.writer.Await(ctx, 100); err != nil {
			t.Fatalf("uid %d: %v", s.uid, err)
		}
	}
	all[0].PullPlug()
	for _, s := range all {
		t.Logf("uid %d: %d rows were acknowledged", s.uid, s.writer.Stop())
	}
	all[0].Boot()
	for _, s := range all {
		s.checkRecovered(ctx)
	}
}

// checkRecovered checks what has become of the stack.
func (s *shop) checkRecovered(ctx context.Context) {
	s.t.Helper()
	st := s.waitRecovered()
	s.WaitFor(30*time.Second, "an answer through nginx", func() bool { return s.client.Answer(ctx) == nil })
	s.t.Logf("uid %d: READY after %v, an answer was seen %v later", s.uid, st.Finished.Sub(st.Started),
		time.Since(st.Finished).Round(time.Millisecond))
	want := map[string]recover.RowState{}
	for _, name := range s.stack.Names() {
		want[name] = recover.RowUp
	}
	if !maps.Equal(states(st), want) || st.Verdict.Ending != recover.HostCrashed {
		s.t.Errorf("uid %d: after a %s the states are %v, want %v", s.uid, st.Verdict.Ending, states(st), want)
	}
	for _, row := range st.Containers {
		// A second attempt would be one that began before what it needs was ready.
		if len(row.Attempts) != 1 || row.Restarts != 0 {
			s.t.Errorf("uid %d: %s took %d attempts and %d restarts: %s", s.uid, row.Name, len(row.Attempts),
				row.Restarts, row.Error)
		}
	}
	if err := s.writer.Lost(ctx); err != nil {
		s.t.Errorf("uid %d: %v", s.uid, err)
	}
}
