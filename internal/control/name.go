package control

import (
	"net/http"
	"net/url"

	"archy-recovery/internal/recover"
)

// pathOf is the path of a resource of one container, or without a name that of all.
func pathOf(resource, name string) string {
	if name == "" {
		return resource
	}
	return resource + "/" + url.PathEscape(name)
}

// nameOf returns the container that a request's path names, empty if its route has no name. It
// answers a request whose name is none.
func (s *Server) nameOf(w http.ResponseWriter, r *http.Request) (name string, ok bool) {
	if name = r.PathValue("name"); name == "" {
		return "", true
	}
	if err := recover.CheckName(name); err != nil {
		s.writeProblem(w, http.StatusBadRequest, err)
		return "", false
	}
	return name, true
}
