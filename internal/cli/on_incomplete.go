package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"

	"github.com/spf13/cobra"
)

func newOnIncomplete(f *globalFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "on-incomplete COMMAND [ARG]...",
		Short: "Run a command if containers were not recovered",
		Long: `Run a command if recovery is complete and containers that should run were not
recovered. Its environment says which, and why; see archy-recovery(1). It runs once:
again only if a further container falls, which RUNTIME_DIRECTORY remembers. The unit
archy-recovery-incomplete.service runs this verb, off by default.`,
		Example: `  archy-recovery on-incomplete sh -c 'echo "$ARCHY_RECOVERY_DETAILS"'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "" {
				return usageError(cmd, errors.New("on-incomplete needs the command to run"))
			}
			return nil
		},
		RunE: f.onInstance(runOnIncomplete),
	}
	cmd.Flags().SetInterspersed(false) // the flags after COMMAND are its own
	return cmd
}

func runOnIncomplete(r request) error {
	told := readTold()
	for { // a container can fall while the command runs
		st, err := askStatus(r)
		if err != nil {
			return r.explain(err)
		}
		if !st.RecoveryComplete {
			return fmt.Errorf("recovery is not complete: wait for it with archy-recovery%s wait", r.flag())
		}
		next := toldOf(st)
		fresh := told.lacks(next)
		if len(fresh) > 0 {
			if err := runHook(r, st, fresh); err != nil {
				return err
			}
		}
		told = next
		if err := told.write(); err != nil {
			return fmt.Errorf("cannot remember what was told: %w", err)
		}
		if len(fresh) == 0 {
			return nil
		}
	}
}

// runHook runs the command with what the status says in its environment.
func runHook(r request, st control.Status, fresh []string) error {
	hook := exec.CommandContext(r.ctx(), r.args[0], r.args[1:]...)
	hook.Env = append(os.Environ(), hookEnvironment(st, fresh)...)
	hook.Stdout, hook.Stderr = r.out(), r.cmd.ErrOrStderr()
	hook.Cancel = func() error { return hook.Process.Signal(os.Interrupt) }
	hook.WaitDelay = 10 * time.Second
	if err := hook.Run(); err != nil {
		if errors.Is(r.ctx().Err(), context.Canceled) {
			return errInterrupted
		}
		return fmt.Errorf("%s failed, so nobody was told of %s: %w", r.args[0], strings.Join(fresh, ", "), err)
	}
	return nil
}

// maxDetails bounds the lines of ARCHY_RECOVERY_DETAILS in bytes: the kernel takes no
// variable of more than 128 KiB (execve(2)).
const maxDetails = 64 << 10

// hookEnvironment is what the command learns. fresh names what it was not told before.
func hookEnvironment(st control.Status, fresh []string) []string {
	var names []string
	var details strings.Builder
	lost := st.NotRecovered()
	for i, row := range lost {
		names = append(names, row.Name)
		line := lostLine(row) + "\n"
		if details.Len()+len(line) > maxDetails {
			fmt.Fprintf(&details, "and %d more\n", len(lost)-i)
			for _, row := range lost[i+1:] {
				names = append(names, row.Name)
			}
			break
		}
		details.WriteString(line)
	}
	variable := func(name, value string) string { return "ARCHY_RECOVERY_" + name + "=" + value }
	return []string{
		variable("INSTANCE", printable(st.Instance)),
		variable("ID", strconv.Itoa(st.RecoveryID)),
		variable("SUMMARY", printable(st.Progress)),
		variable("VERDICT", printable(string(st.Verdict.Ending))),
		variable("CAUSE", printable(string(st.Verdict.Cause))),
		variable("REASON", printable(st.Verdict.Reason)),
		variable("NOT_RECOVERED", strings.Join(names, " ")),
		variable("NEW", strings.Join(fresh, " ")),
		variable("DETAILS", strings.TrimSuffix(details.String(), "\n")),
	}
}

// A told is what the command was last told: the containers of one recovery that were not
// recovered.
type told struct {
	BootID  string    `json:"bootId"`
	Started time.Time `json:"started"`
	Names   []string  `json:"names"`
}

func toldOf(st control.Status) told {
	t := told{BootID: st.BootID, Started: st.Started}
	for _, row := range st.NotRecovered() {
		t.Names = append(t.Names, row.Name)
	}
	return t
}

// lacks returns the names of next that t does not have: all, if that is another recovery.
func (t told) lacks(next told) []string {
	if t.BootID != next.BootID || !t.Started.Equal(next.Started) {
		return next.Names
	}
	return slices.DeleteFunc(slices.Clone(next.Names), func(name string) bool { return slices.Contains(t.Names, name) })
}

// toldFile is the file in the runtime directory of the unit (systemd.exec(5)), "" without one.
func toldFile() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "told.json")
	}
	return ""
}

// readTold returns what was told. If that cannot be read, the command is told again.
func readTold() (t told) {
	if text, err := os.ReadFile(toldFile()); err == nil {
		_ = json.Unmarshal(text, &t)
	}
	return t
}

// write keeps what was told until the next boot. If that fails, the command is told again.
func (t told) write() error {
	text, err := json.Marshal(t)
	if err != nil || toldFile() == "" {
		return err
	}
	return os.WriteFile(toldFile(), text, 0o600)
}
