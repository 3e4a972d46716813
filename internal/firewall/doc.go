// Package firewall looks whether the kernel has the rules of podman's bridge networks. A firewall
// that is loaded anew drops them, as `nft flush ruleset` does, and podman does not notice.
//
// podman's network program, netavark, notes for each container in a bridge network what it made
// (since 1.9), and makes it with nftables since 1.10, if it was not built or told otherwise. The
// check compares its notes with the kernel's rules, and only reads.
package firewall
