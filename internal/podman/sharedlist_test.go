package podman

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// A slowPodman answers each request for a list when the test says so. The nth list has one container, whose
// name is the number.
type slowPodman struct {
	*Client
	t      *testing.T
	asked  chan int // the number of each request
	answer chan struct{}
}

func newSlowPodman(t *testing.T) *slowPodman {
	s := &slowPodman{t: t, asked: make(chan int, 16), answer: make(chan struct{})}
	n := 0 // requests do not overlap, as the race detector would tell
	s.Client = clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		s.asked <- n
		select {
		case <-s.answer:
		case <-r.Context().Done(): // the client has hung up
			return
		}
		fmt.Fprintf(w, `[{"Names":["%d"],"State":"running"}]`, n)
	})
	return s
}

// A listResult is the result of a List.
type listResult struct {
	list []recover.Sighting
	err  error
}

// ask calls List in a goroutine of its own.
func (s *slowPodman) ask(ctx context.Context) <-chan listResult {
	c := make(chan listResult, 1)
	go func() {
		list, err := s.List(ctx)
		c <- listResult{list, err}
	}()
	return c
}

// waiting waits until this many callers wait for the next request.
func (s *slowPodman) waiting(want int) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.lists.mu.Lock()
		n := 0
		if s.lists.next != nil {
			n = s.lists.next.waiting
		}
		s.lists.mu.Unlock()
		if n == want {
			return
		}
	}
	s.t.Fatalf("this did not happen: %d callers wait for the next list", want)
}

// wantRequest waits for the request with this number.
func (s *slowPodman) wantRequest(want int) {
	s.t.Helper()
	select {
	case n := <-s.asked:
		if n != want {
			s.t.Fatalf("request %d, want %d", n, want)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatalf("there is no request %d", want)
	}
}

// wantList checks that the result is the list of the request with this number.
func (s *slowPodman) wantList(c <-chan listResult, request int) {
	s.t.Helper()
	select {
	case got := <-c:
		if got.err != nil || len(got.list) != 1 || got.list[0].Name != fmt.Sprint(request) {
			s.t.Errorf("got %+v, want the list of request %d", got, request)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatal("List does not return")
	}
}

// TestListShared checks that callers share requests, and that no caller gets an answer to a request from
// before its call.
func TestListShared(t *testing.T) {
	t.Parallel()
	s := newSlowPodman(t)
	first := s.ask(t.Context())
	s.wantRequest(1)
	var later []<-chan listResult
	for range 5 {
		later = append(later, s.ask(t.Context()))
	}
	s.waiting(5)
	s.answer <- struct{}{}
	s.wantList(first, 1)
	s.wantRequest(2)
	last := s.ask(t.Context())
	s.waiting(1)
	s.answer <- struct{}{}
	for _, c := range later {
		s.wantList(c, 2)
	}
	s.wantRequest(3)
	s.answer <- struct{}{}
	s.wantList(last, 3)
	if len(s.asked) > 0 {
		t.Error("there is a fourth request")
	}
	again := s.ask(t.Context())
	s.wantRequest(4)
	s.answer <- struct{}{}
	s.wantList(again, 4)
}

// TestListLeft checks that a caller that gives up does not end the request of the others.
func TestListLeft(t *testing.T) {
	t.Parallel()
	s := newSlowPodman(t)
	impatient, giveUp := context.WithCancel(t.Context())
	first := s.ask(impatient)
	s.wantRequest(1)
	second, third := s.ask(impatient), s.ask(t.Context())
	s.waiting(2)
	giveUp()
	for _, c := range []<-chan listResult{first, second} {
		if got := <-c; !errors.Is(got.err, context.Canceled) {
			t.Errorf("got %+v", got)
		}
	}
	s.answer <- struct{}{} // the abandoned request is still the only one
	s.wantRequest(2)
	s.answer <- struct{}{}
	s.wantList(third, 2)
}

// TestListAbandoned checks that an abandoned request ends by its own limit, and that one for which no caller
// waits is not made.
func TestListAbandoned(t *testing.T) {
	t.Parallel()
	s := newSlowPodman(t)
	if s.listLimit != time.Minute {
		t.Errorf("the limit is %s", s.listLimit)
	}
	s.listLimit = 500 * time.Millisecond
	impatient, giveUp := context.WithCancel(t.Context())
	first := s.ask(impatient)
	s.wantRequest(1)
	second := s.ask(impatient)
	s.waiting(1)
	giveUp()
	<-first
	<-second
	s.waiting(0)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.lists.mu.Lock()
		over := s.lists.running == nil
		s.lists.mu.Unlock()
		if over {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the abandoned request does not end")
		}
	}
	if len(s.asked) > 0 {
		t.Error("a request was made for no caller")
	}
}

// TestListLimit checks that callers of a hung list get the error of its limit, and that their answers are
// their own.
func TestListLimit(t *testing.T) {
	t.Parallel()
	s := newSlowPodman(t)
	s.listLimit = 200 * time.Millisecond
	if got := <-s.ask(t.Context()); !errors.Is(got.err, context.DeadlineExceeded) || got.list != nil {
		t.Errorf("got %+v", got)
	}
	s.wantRequest(1)
	s.listLimit = time.Minute
	one := s.ask(t.Context())
	s.wantRequest(2)
	two, three := s.ask(t.Context()), s.ask(t.Context())
	s.waiting(2)
	s.answer <- struct{}{}
	<-one
	s.wantRequest(3)
	s.answer <- struct{}{}
	a, b := <-two, <-three
	if a.err != nil || b.err != nil {
		t.Fatal(a.err, b.err)
	}
	if a.list[0].Name = "changed"; b.list[0].Name == "changed" {
		t.Error("two callers have the same list")
	}
}
