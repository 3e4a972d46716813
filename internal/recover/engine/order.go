package engine

import (
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// An order is what rows wait for before their first start, since somebody wrote down that
// they need it. Nothing else waits: neither the tier of such a row nor later ones.
type order struct {
	needs map[int][]need
	// waiting has the rows that wait, with what they wait for.
	waiting map[int][]need
}

// A need is a recover.Need of a row.
type need struct {
	row   int
	until recover.NeedUntil
}

func newOrder(rows []recover.Row) order {
	o := order{needs: map[int][]need{}, waiting: map[int][]need{}}
	for i, row := range rows {
		for _, n := range row.Needs {
			j := recover.IndexRow(rows, n.Name)
			if j >= 0 && j != i {
				o.needs[i] = append(o.needs[i], need{j, n.Until})
			}
		}
	}
	return o
}

// hold has a row wait that needs others first. It reports false if it need not.
func (o *order) hold(r *Run, i int) bool {
	if len(r.rows[i].Attempts) > 0 || r.expired {
		return false
	}
	unmet := slices.DeleteFunc(slices.Clone(o.needs[i]), func(n need) bool { return o.met(r, n) || r.waitsFor(n.row, i) })
	if len(unmet) == 0 {
		return false
	}
	o.waiting[i] = unmet
	r.set(i, recover.RowWaiting, Waiting, "waits for "+o.text(r, unmet))
	return true
}

// text names what is waited for.
func (o *order) text(r *Run, needs []need) string {
	var texts []string
	for _, n := range needs {
		texts = append(texts, r.rows[n.row].Name+", until it is "+string(n.until))
	}
	return strings.Join(texts, "; ")
}

// met reports whether a row need not wait any longer for another one. What will not come
// in this recovery is not waited for.
func (o *order) met(r *Run, n need) bool {
	other := r.rows[n.row]
	switch {
	case other.State.Pending():
		return false
	case other.State != recover.RowUp:
		return true
	case other.Job:
		return n.until == recover.UntilUp
	case n.until == recover.UntilReady:
		return !r.health.delay(n.row) || other.AwaitHealth == recover.HealthForNeeding
	case n.until == recover.UntilHealthy:
		return !r.health.delay(n.row)
	}
	return true
}

// release has the rows go on that wait for a row, if they need not any longer.
func (o *order) release(r *Run, i int) {
	for waiting := range r.rows { // in the order of their starts
		needs := o.waiting[waiting]
		if !slices.ContainsFunc(needs, func(n need) bool { return n.row == i }) {
			continue
		}
		if needs = slices.DeleteFunc(slices.Clone(needs), func(n need) bool { return o.met(r, n) }); len(needs) > 0 {
			o.waiting[waiting] = needs
			continue
		}
		delete(o.waiting, waiting)
		r.requeue(waiting)
	}
}

// waitsFor reports whether a row waits for another, directly or through others.
func (r *Run) waitsFor(i, other int) bool {
	on := slices.Clone(r.needs[i])
	for _, n := range r.order.waiting[i] {
		on = append(on, n.row)
	}
	return slices.ContainsFunc(on, func(j int) bool { return j == other || r.waitsFor(j, other) })
}
