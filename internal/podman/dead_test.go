package podman

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Where anything may live, podman's record stays as it is: what is forgotten and
// runs could be started a second time.
func TestOnlyTheDeadAreForgotten(t *testing.T) {
	t.Parallel()
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	gone, lives := strconv.Itoa(ended.ProcessState.Pid()), strconv.Itoa(os.Getpid())
	const ctr = "containers/overlay-containers/0123/userdata/"
	for sentence, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"all are gone":                        {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": gone, "pidfile": gone}, true},
		"the pause process was never made":    {map[string]string{"alive": "", "conmon.pid": gone, "pidfile": gone}, true},
		"the pause process lives":             {map[string]string{"alive": "", "pause.pid": lives, "conmon.pid": gone, "pidfile": gone}, false},
		"a conmon lives":                      {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": lives, "pidfile": gone}, false},
		"a container lives, without a conmon": {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": gone, "pidfile": lives}, false},
		"init has one's PID, and is not ours": {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": "1", "pidfile": gone}, false},
		"a PID cannot be read":                {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": "", "pidfile": gone}, false},
		"a PID is a process group":            {map[string]string{"alive": "", "pause.pid": gone, "conmon.pid": "-" + gone, "pidfile": gone}, false},
		"there are no containers":             {map[string]string{"alive": "", "pause.pid": gone}, false},
		"it is not of this boot":              {map[string]string{"pause.pid": gone, "conmon.pid": gone, "pidfile": gone}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range c.files {
				path := filepath.Join(dir, ctr, name)
				if name == "alive" || name == "pause.pid" {
					path = filepath.Join(dir, "libpod/tmp", name)
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			_, there := c.files["alive"]
			if got := ForgetDead(dir); got != c.want {
				t.Errorf("they are forgotten: %t, want %t", got, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "libpod/tmp/alive")); (err == nil) != (there && !c.want) {
				t.Errorf("the file alive: %v", err)
			}
		})
	}
}

func TestAPodmanThatIsStuckIsHelped(t *testing.T) {
	t.Parallel()
	helped := make(chan struct{})
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		<-helped
		answers(http.StatusOK, "[]")(w, r)
	})
	c.Stuck, c.patience = func() { close(helped) }, time.Millisecond
	if _, err := c.List(t.Context()); err != nil {
		t.Error(err)
	}
	c.Stuck, c.patience = func() { t.Error("it was well") }, time.Minute
	if _, err := c.List(t.Context()); err != nil {
		t.Error(err)
	}
}
