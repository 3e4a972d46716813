// Package software runs real software on test machines: PostgreSQL, MariaDB, Redis and nginx
// from Debian's packages, and an application that needs the first three (see app). It
// writes through nginx and the application while the power fails, and counts what was
// acknowledged.
//
//	s := software.Stack{Port: 8080}
//	for path, text := range s.Files() { … }    // write them on the machine
//	m.MustRun("sh", "-ec", s.Create())         // units and plain containers run
//	c := software.NewClient(m.Dial, "192.0.2.10:8080", time.Minute)
//	w := software.Write(c)                     // from outside of the machine
//	… w.Await(ctx, 100); pull the plug; w.Stop(); boot; wait for the recovery …
//	err := w.Lost(ctx)
package software
