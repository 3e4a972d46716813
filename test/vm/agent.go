package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"archy-recovery/test/vm/wire"
)

// errCut is the error of a command during which the machine went down or began
// another boot.
var errCut = errors.New("the machine went down while the command ran")

// listenAgent reads the agent's replies until QEMU ends.
func (q *qemu) listenAgent() {
	in := bufio.NewReader(q.agent)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var reply wire.Reply
		if json.Unmarshal(line, &reply) != nil {
			continue // half a line from a boot that was cut
		}
		q.Change(func() {
			if reply.Boot != "" {
				q.boot = reply.Boot
			} else if p := q.waiting[reply.ID]; p != nil {
				p.reply = &reply
			}
		})
	}
}

// run makes the agent run a command and waits for its end.
func (q *qemu) run(ctx context.Context, req wire.Request) (wire.Reply, error) {
	p := &pending{}
	q.Lock()
	p.boot = q.boot
	q.lastID++
	req.ID = q.lastID
	q.waiting[req.ID] = p
	line, err := json.Marshal(req)
	if err == nil {
		_, err = q.agent.Write(append(line, '\n'))
	}
	q.Unlock()
	if err != nil {
		return wire.Reply{}, fmt.Errorf("send the agent a request: %w", err)
	}
	err = q.Await(ctx, "the command", func() (bool, error) {
		if p.reply == nil && (q.gone || q.boot != p.boot) {
			return false, errCut
		}
		return p.reply != nil, nil
	})
	q.Change(func() { delete(q.waiting, req.ID) })
	if err != nil {
		return wire.Reply{}, err
	}
	return *p.reply, nil
}
