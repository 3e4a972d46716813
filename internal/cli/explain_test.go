package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
)

func TestExplain(t *testing.T) {
	denied := fmt.Errorf("connect: %w", fs.ErrPermission)
	for name, c := range map[string]struct {
		of   Instance
		err  error
		code int // 0: not an ExitError
		want string
	}{
		"permission": {Instance{UID: 4242}, denied, ExitNoDaemon, "no access to the 4242 instance: connect: " +
			"permission denied. Only root, uid 4242, and members of the group archy-recovery have access"},
		"permission_system": {Instance{System: true}, denied, ExitNoDaemon, "no access to the system instance: connect: " +
			"permission denied. Only root and members of the group archy-recovery have access"},
		"daemon_ended": {Instance{UID: 4242}, io.ErrUnexpectedEOF, 0, "the daemon of the 4242 instance has ended " +
			"meanwhile: see systemctl status archy-recovery@4242.service"},
		"answer": {Instance{UID: 4242}, errors.New("it is not on the list"), 0, "it is not on the list"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.of.explain(c.err)
			if err.Error() != c.want {
				t.Errorf("the error is %q, want %q", err, c.want)
			}
			var exit ExitError
			if errors.As(err, &exit); exit.Code != c.code {
				t.Errorf("exit code %d, want %d", exit.Code, c.code)
			}
			if c.code != 0 && c.of.explain(err) != err {
				t.Errorf("it is explained twice: %v", c.of.explain(err))
			}
		})
	}
	if err := (Instance{}).explain(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}
