package software

import (
	_ "embed"

	"archy-recovery/test/machine"
)

// The names of the images: that of the servers, and that of the application.
const (
	ServerImage = "localhost/software:1"
	AppImage    = "localhost/app:1"
)

//go:embed setup.sh
var setup string

// Images are for the Spec of a machine that runs a Stack.
var Images = []machine.ImageSpec{
	{Name: ServerImage, Setup: setup, Packages: []string{
		"postgresql-17", "mariadb-server-core", "mariadb-client", "redis-server", "nginx"}},
	{Name: AppImage, Program: "test/software/app"},
}
