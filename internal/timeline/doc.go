// Package timeline draws a recovery as systemd-analyze plot draws a boot: a bar
// per container over one time axis, tiers as bands, READY as a line.
//
// The picture is an SVG without scripts and without anything to load, so that
// it can be mailed, attached to a bug report and opened years later. HTML puts
// it into a page with the verdict, its evidence and the table of containers.
package timeline
