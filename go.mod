module archy-recovery

go 1.26.0

// Each direct dependency has its reason beside it.
require (
	github.com/chromedp/chromedp v0.23.1 // tests: drives Chromium, which opens the page for Cockpit
	github.com/coreos/go-systemd/v22 v22.7.0 // socket activation, sd_notify, journal fields
	github.com/go-sql-driver/mysql v1.10.1 // tests: an application that needs MariaDB
	github.com/godbus/dbus/v5 v5.2.4 // D-Bus to systemd
	github.com/gomodule/redigo v1.9.3 // tests: an application that needs Redis
	github.com/google/go-cmp v0.7.0 // tests: diffs
	github.com/google/nftables v0.3.0 // the kernel's firewall rules over netlink
	github.com/google/renameio/v2 v2.0.2 // atomic, durable replacement of files
	github.com/lib/pq v1.12.3 // tests: an application that needs PostgreSQL
	github.com/lmittmann/tint v1.2.1 // log lines on a terminal
	github.com/prometheus/client_golang v1.25.0 // tests: Prometheus' linter of metric names
	github.com/prometheus/client_model v0.6.3 // tests: what Prometheus' parser returns
	github.com/prometheus/common v0.73.1 // tests: Prometheus' parser of the text format
	github.com/rogpeppe/go-internal v1.16.0 // tests: scripts of the command line
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // tests: checks the API's answers against docs/openapi.yaml
	github.com/spf13/cobra v1.10.2 // commands, flags, help, completion
	github.com/spf13/pflag v1.0.9 // tests: the flags that the man page must list
	go.uber.org/goleak v1.3.0 // tests: goroutine leaks
	go.yaml.in/yaml/v3 v3.0.6 // tests: reads docs/openapi.yaml
	golang.org/x/sys v0.49.0 // flock, SO_PEERCRED, terminals
	pgregory.net/rapid v1.3.0 // tests: random fleets, histories and crash points, shrunk to the smallest failure
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/chromedp/cdproto v0.160.1 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mdlayher/netlink v1.7.3-0.20250113171957-fbb4dce95f42 // indirect
	github.com/mdlayher/socket v0.5.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/pandatix/go-abnf v0.5.3 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

tool (
	github.com/cpuguy83/go-md2man/v2
	honnef.co/go/tools/cmd/staticcheck
)
