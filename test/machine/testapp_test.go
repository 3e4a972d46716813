package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestApp checks every flag of the test application, in Quadlet units of both
// managers.
func TestApp(t *testing.T) {
	t.Parallel()
	machine := Start(t)
	// The rootless units would wait for this target, and nothing wants it.
	machine.MustRun("systemctl", "start", "network-online.target")
	for _, uid := range []int{0, User} {
		t.Run(fmt.Sprintf("uid_%d", uid), func(t *testing.T) {
			t.Parallel()
			m := machine.With(t)
			s := m.As(uid)
			unit := func(name, container, service string) {
				t.Helper()
				m.Quadlet(uid, name+".container", "[Container]\nImage="+Image+"\n"+container+
					"\n[Service]\nTimeoutStartSec=5\n"+service+"\n")
			}
			start := func(name string) (time.Duration, error) {
				begin := time.Now()
				_, err := s.Run(append(s.systemctl(), "start", name)...)
				return time.Since(begin), err
			}
			want := func(name, property, value string) {
				t.Helper()
				if got := s.Show(name, property)[property]; got != value {
					t.Errorf("%s: %s is %s, want %s", name, property, got, value)
				}
			}

			t.Run("plain", func(t *testing.T) {
				unit("plain", "", "")
				if _, err := start("plain"); err != nil {
					t.Error(err)
				}
				want("plain", "ActiveState", "active")
				begin := time.Now()
				s.Systemctl("stop", "plain")
				if d := time.Since(begin); d > 5*time.Second {
					t.Errorf("stopping took %v", d)
				}
				want("plain", "Result", "success")
			})
			t.Run("ready-after", func(t *testing.T) {
				unit("ready", "Notify=true\nExec=-ready-after 1s", "")
				if d, err := start("ready"); err != nil || d < time.Second {
					t.Errorf("started in %v: %v", d, err)
				}
				want("ready", "ActiveState", "active")
			})
			t.Run("never-ready", func(t *testing.T) {
				unit("never", "Notify=true\nExec=-never-ready", "TimeoutStartSec=2")
				if _, err := start("never"); err == nil {
					t.Error("became ready")
				}
				want("never", "Result", "timeout")
			})
			t.Run("fail-times", func(t *testing.T) {
				state := fmt.Sprintf("/var/lib/testapp-%d", uid)
				m.MustRun("install", "--directory", "--owner", fmt.Sprint(uid), state)
				unit("fail", "Notify=true\nExec=-fail-times 2 -state /state\nVolume="+state+":/state", "")
				for i := range 3 {
					if _, err := start("fail"); (err == nil) != (i == 2) {
						t.Errorf("start %d: %v", i+1, err)
					}
				}
				want("fail", "ActiveState", "active")
				if got, err := m.ReadFile(state + "/starts"); got != "3\n" || err != nil {
					t.Errorf("starts: %q, %v", got, err)
				}
			})
			t.Run("exit-after", func(t *testing.T) {
				unit("exit", "Notify=true\nExec=-exit-after 100ms", "")
				if _, err := start("exit"); err != nil {
					t.Error(err)
				}
				m.WaitFor(5*time.Second, "the exit", func() bool {
					return s.Show("exit", "ActiveState")["ActiveState"] == "failed"
				})
			})
			t.Run("ignore-term", func(t *testing.T) {
				unit("ignore", "Exec=-ignore-term\nStopTimeout=1", "")
				if _, err := start("ignore"); err != nil {
					t.Error(err)
				}
				begin := time.Now()
				_, _ = s.Run(append(s.systemctl(), "stop", "ignore")...)
				if d := time.Since(begin); d < time.Second {
					t.Errorf("stopped in %v though it ignores SIGTERM", d)
				}
			})
			t.Run("podman-run", func(t *testing.T) {
				s.MustRun("podman", "run", "--detach", "--name", "bare", Image)
				got := s.MustRun("podman", "ps", "--filter", "name=bare", "--format", "{{.Status}}")
				if !strings.HasPrefix(got, "Up") {
					t.Errorf("status %q", got)
				}
				s.MustRun("podman", "stop", "bare")
			})
		})
	}
}

// TestQuadletAtBoot checks that a boot starts Quadlet units of both managers, and
// that podman's events are in the journal.
func TestQuadletAtBoot(t *testing.T) {
	t.Parallel()
	m := Start(t, Off())
	for _, uid := range []int{0, User} {
		m.Quadlet(uid, "web.container",
			"[Container]\nContainerName=web\nImage="+Image+"\n[Install]\nWantedBy=default.target\n")
	}
	m.Boot()
	for _, s := range []*Shell{m.As(0), m.As(User)} {
		if got := s.Show("web.service", "ActiveState")["ActiveState"]; got != "active" {
			t.Errorf("uid %d: web.service is %s", s.uid, got)
		}
		if !strings.Contains(m.Journal("PODMAN_EVENT=start", "_UID="+fmt.Sprint(s.uid)), "web") {
			t.Errorf("uid %d: no start event in the journal", s.uid)
		}
	}
}
