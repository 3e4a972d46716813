// Package software runs real software on test machines: PostgreSQL, MariaDB, Redis and nginx
// from Debian's packages, and an application that needs the first three (see app). It
// writes through nginx and the application while the power fails, and counts what was
// acknowledged.
//
//	s := software.Stack{Uid: 0, Port: 8080}
//	for path, text := range s.Files() { … }    // write them on the machine
//	m.As(0).MustRun("sh", "-ec", s.Create())   // units and plain containers run
//	w := software.Write(s.URL(), dial)         // from outside of the machine
//	… w.Await(ctx, 100); pull the plug; w.Stop(); boot; wait for the recovery …
//	lost, err := w.Lost(ctx)
//
// Both kinds of machine use it: test/recovery without the loss of the page cache, and
// test/power with it.
package software
