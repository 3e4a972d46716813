package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// note says why a container is not up, and what to do: the cause that is known of its
// last attempt, or else the error. It is empty if there is nothing to say.
func note(row recover.Row) string {
	text := noteOf(row)
	if again := row.RetryLine(time.Now()); again != "" {
		text = strings.TrimPrefix(strings.TrimSuffix(text, ".")+". "+upperFirst(again), ". ")
	}
	return text
}

// upperFirst is a text with a capital letter.
func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// noteOf is note without the next try.
func noteOf(row recover.Row) string {
	if text := why(row); text != "" {
		return text
	}
	switch row.State {
	case recover.RowFell, recover.RowRestarting:
		return row.Trouble(row.Now)
	}
	return cmp.Or(row.HealthNote(), row.WithoutStopped())
}

// why is the cause and the advice that are known of a row's last attempt, or else
// its error.
func why(row recover.Row) string {
	text := row.Error
	switch row.State {
	case recover.RowWaiting, recover.RowNoNetwork, recover.RowActive, recover.RowUserStopped:
		return text // what it waits for, or what came after its last attempt
	}
	if n := len(row.Attempts); n > 0 && row.Attempts[n-1].Why != nil {
		explained := row.Attempts[n-1].Why
		text = strings.TrimSuffix(cmp.Or(explained.Cause, text), ".")
		if explained.Advice != "" {
			text = strings.TrimPrefix(text+". "+explained.Advice, ". ")
		}
	}
	return text
}

// lostLine says in one line that a container was not recovered, and why.
func lostLine(row recover.Row) string {
	line := cmp.Or(row.Trouble(row.Now), row.Name+" is "+string(row.State))
	explained := len(row.Attempts) > 0 && row.Attempts[len(row.Attempts)-1].Why != nil
	if row.State == recover.RowFell && !explained {
		return printable(line) // the error says the same
	}
	if text := why(row); text != "" {
		line += ": " + text
	}
	return printable(line)
}

// printWithNotes prints a table whose last column is the notes of the rows. If it is
// too wide, the notes stand below it, so that they can be read to the end.
func (t *table) printWithNotes(w io.Writer, rows []recover.Row, width int) {
	if t.fits(width) {
		t.printTo(w, width)
		return
	}
	for _, cells := range t.rows {
		cells[len(cells)-1] = ""
	}
	t.printTo(w, width)
	fmt.Fprintln(w)
	for _, row := range rows {
		if text := note(row); text != "" {
			fmt.Fprint(w, fold(row.Name+": "+text, "  ", width))
		}
	}
}

// maxOutput is how many lines report prints of an attempt's output. All of them are
// in its JSON.
const maxOutput = 20

// printOutput prints the last lines that were written for each failed attempt.
func printOutput(w io.Writer, rows []recover.Row, width int) {
	for _, row := range rows {
		for n, attempt := range row.Attempts {
			if attempt.Why == nil || len(attempt.Why.Output) == 0 {
				continue
			}
			fmt.Fprint(w, "\n"+fold(fmt.Sprintf("Output of %s, attempt %d:", row.Name, n+1), "", width))
			lines := attempt.Why.Output
			if earlier := len(lines) - maxOutput; earlier > 0 {
				fmt.Fprintf(w, "  (%d earlier lines)\n", earlier)
				lines = lines[earlier:]
			}
			for _, text := range lines {
				fmt.Fprint(w, fold(text, "  ", width))
			}
		}
	}
}
