package podman

import (
	"net/http"
	"testing"
)

func TestPublishesPort(t *testing.T) {
	t.Parallel()
	c := clientOf(t, answers(http.StatusOK, `[{"Names":["a"]},{"Names":["b"],"Ports":[
		{"host_ip":"","container_port":80,"host_port":8080,"range":1,"protocol":"tcp"},
		{"host_ip":"127.0.0.1","container_port":90,"host_port":9000,"range":3,"protocol":"tcp"}]},
		{"Names":["c"],"Ports":[{"host_port":53}]}]`))
	for port, want := range map[int]string{
		80: "", 8079: "", 8080: "b", 8081: "", 9000: "b", 9002: "b", 9003: "", 53: "c",
	} {
		if got, err := c.PublishesPort(t.Context(), port); err != nil || got != want {
			t.Errorf("%d: %q, %v", port, got, err)
		}
	}
	if got, err := clientOf(t, answers(http.StatusInternalServerError, `{}`)).PublishesPort(t.Context(), 80); err == nil {
		t.Errorf("an error is %q", got)
	}
}
