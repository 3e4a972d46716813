// Package timeline draws a recovery the way systemd-analyze plot draws a boot:
// a bar a container over one time axis, tiers as bands, READY as a line. The
// picture is an SVG without scripts or anything to load, so that it can be
// mailed, attached to a bug and opened years later; HTML wraps it, with the
// table and the evidence, into one page.
package timeline
