# archy-recovery. `make help` lists the targets.
#
# Machine tests, the benchmark and the demo boot whole machines, which needs root. They and the installation of packages
# use sudo. Compiling does not.

PREFIX  ?= /usr
DESTDIR ?=
GO      ?= go

# debian/changelog is the only place of the version.
DEB_VERSION := $(shell sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' debian/changelog)
VERSION     := $(shell echo '$(DEB_VERSION)' | sed 's/-[^-]*$$//')
DEB_ARCH    ?= $(shell dpkg --print-architecture)
DEB          = dist/archy-recovery_$(DEB_VERSION)_$(DEB_ARCH).deb

# One static binary. The same sources give the same binary in any directory.
GO_BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# For programs that run on this machine while the build is for another architecture.
HOST_GO := env -u GOOS -u GOARCH $(GO)

MAN := $(patsubst docs/man/%.md,bin/man/%,$(wildcard docs/man/*.md))
# Debian's zsh reads vendor-completions. Other distributions' zsh reads site-functions.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions

# Empty for root. For other users, `go test` and `go run` compile as the user and run the result as root. sudo drops the
# environment, so these variables are passed on. Root has its own build cache: the user's must not get files of root.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
AS_ROOT  = -exec '$(SUDO) env "PATH='"$$PATH"'" "GOMODCACHE='"$$($(GO) env GOMODCACHE)"'" "ARCHY_DEB=$(abspath $(DEB))" $(TEST_ENV)'

TEST_FLAGS   ?= -v
TEST_TIMEOUT ?= 75m
# The machine tests that run side by side. They mostly wait, so more than one for each CPU: five use both of two CPUs.
TEST_PARALLEL ?= $(shell expr 5 '*' $$(nproc) / 2)

# mmdebstrap makes the trees of the test machines, checked by the archive keyring. systemd-container boots them. dbus is
# the private bus of the bus tests. strace shows the system calls that a crash can interrupt. gcc and libc6-dev are for
# the race detector and for the test of a wrong clock. man-db formats the man pages. The last three build the package.
DEPS := mmdebstrap debian-archive-keyring systemd-container systemd dbus strace gcc libc6-dev man-db \
	build-essential debhelper dpkg-dev

UNITS    := $(wildcard packaging/systemd/archy-recovery*.service packaging/systemd/archy-recovery*.socket \
		packaging/systemd/archy-recovery*.timer packaging/systemd/archy-recovery*.path)
# Units of users' managers.
USER_UNITS := $(wildcard packaging/systemd/user/*)
SANDBOXED := archy-recovery.service archy-recovery@.service archy-recovery-snapshot.service archy-recovery-snapshot@.service \
		archy-recovery-sync@.service archy-recovery-check@.service
# These may use the network, which counts as exposure.
NETWORKED := archy-recovery-incomplete.service archy-recovery-incomplete@.service archy-recovery-network-check.service

.PHONY: build
build: ## build bin/archy-recovery and bin/start-container
	$(GO_BUILD) -o bin/archy-recovery ./cmd/archy-recovery
	$(GO_BUILD) -o bin/start-container ./cmd/start-container

.PHONY: docs
docs: $(MAN) ## build man pages and shell completions into bin/
	mkdir -p bin/completions
	for shell in bash zsh fish; do \
		$(HOST_GO) run ./cmd/archy-recovery completion $$shell >bin/completions/$$shell || exit 1; \
	done

bin/man/%: docs/man/%.md debian/changelog
	mkdir -p bin/man
	sed 's/@VERSION@/$(VERSION)/' $< | $(HOST_GO) tool go-md2man -out $@

.PHONY: build-arm64
build-arm64: ## build both programs for arm64
	GOOS=linux GOARCH=arm64 $(GO_BUILD) -o bin/archy-recovery-arm64 ./cmd/archy-recovery
	GOOS=linux GOARCH=arm64 $(GO_BUILD) -o bin/start-container-arm64 ./cmd/start-container

.PHONY: all-arch
all-arch: build build-arm64 ## build for this architecture and for arm64

.PHONY: demo
demo: deps deb ## boot a machine, pull its plug, show its recovery (root)
	$(GO) run $(AS_ROOT) ./test/demo

# promtool, which tests the alert rules. Without it `make check` leaves that out. The browser opens the page in Cockpit.
# ip connects two machines, and openssl makes their certificates.
test operator-test: DEPS += prometheus chromium-headless-shell iproute2 openssl
.PHONY: test
test: check deb ## run all tests: check, then the machine tests (root)
	$(GO) test $(AS_ROOT) -p 1 -parallel $(TEST_PARALLEL) -count=1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./test/...

.PHONY: check
check: deps check-units check-man ## check format, vet, staticcheck and units; run unit and bus tests; no root
	@unformatted=$$(gofmt -l cmd internal test) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -count=1 -timeout 10m ./cmd/... ./internal/...

# Go fuzzes one target at a time. It keeps a failing input in testdata/fuzz, and each `make check` tests it again.
FUZZTIME ?= 10m
.PHONY: fuzz
fuzz: ## fuzz each parser and the API one after the other, FUZZTIME=10m each
	@mkdir -p dist # go reports a failure if the time ends during an input; the log tells
	@for package in $$(grep -rl --include=*_test.go '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
		for test in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$package/*_test.go); do \
			echo "== $$package $$test"; \
			$(GO) test ./$$package -run '^$$' -fuzz "^$$test$$" -fuzztime $(FUZZTIME) $(FUZZ_FLAGS) 2>&1 | tee dist/fuzz.log; \
			grep -q '^ok\|^    context deadline exceeded' dist/fuzz.log || exit 1; \
		done; \
	done

.PHONY: operator-test
operator-test: deps deb ## test what operators look at: Cockpit in a browser, Prometheus, remote journals (root)
	$(GO) test $(AS_ROOT) -count=1 -timeout 20m $(TEST_FLAGS) ./test/operator

soak: TEST_ENV = SOAK_MACHINE_N=$(or $(MACHINE_N),50) SOAK_WALK_N=$(or $(WALK_N),50) SOAK_CUTS=$(or $(CUTS),10) \
	SOAK_SEED=$(SEED)
.PHONY: soak
soak: deps deb ## run 1,000 recoveries, 10,000 requests, 50 recoveries and 50 random steps of machines, 10 cuts; WALK_N=50 CUTS=10 … (root)
	SOAK_N=$(or $(N),1000) $(GO) test -count=1 -timeout 2h -v -run '^(TestRecoveriesInALoop|TestLoadOnTheAPI)' ./internal/units
	$(GO) test $(AS_ROOT) -count=1 -timeout 2h -v -run '^(TestSoak|TestWalk|TestCutsInARow)$$' ./test/recovery

.PHONY: histories
histories: ## play N=100000 histories of a simulated host: crashes, reboots, restarts, lost files, …; SEED=…
	RAPID_CHECKS=$(or $(N),100000) RAPID_SEED=$(or $(SEED),0) \
		$(GO) test -count=1 -timeout 12h -v -run '^TestHistories$$' ./internal/daemon

.PHONY: check-units
check-units: ## check the units with systemd-analyze verify and security
	packaging/check-units $(SANDBOXED) --networked $(NETWORKED)

.PHONY: check-man
check-man: $(MAN) ## check that man formats the man pages without a warning
	@for page in $^; do \
		said=$$(MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 $$page 2>&1 >/dev/null) || exit 1; \
		if [ -n "$$said" ]; then echo "$$page: $$said"; exit 1; fi; \
	done

.PHONY: bench
bench: deps deb all-arch ## measure recovery on a test machine, write docs/benchmarks.md (root)
	$(GO) run $(AS_ROOT) ./test/bench
	$(GO) run $(AS_ROOT) ./test/bench/journal
	$(MAKE) crash-histories

.PHONY: bench-check
bench-check: deps deb ## measure as make bench does, and fail where a ratio is worse than in docs/benchmarks.json; ROWS=trivial,slow (root)
	$(GO) run $(AS_ROOT) ./test/bench -check $(if $(ROWS),-only $(ROWS))

.PHONY: crash-histories
crash-histories: ## tell 10,000 histories of crashes of each kind, write the table in docs/recovery.md; N=10000
	CRASH_HISTORIES=$(or $(N),10000) CRASH_HISTORIES_TABLE=1 $(GO) test -count=1 -timeout 12h -v -run '^TestCrashHistories$$' ./internal/daemon

# Only these tests need virtual machines and file systems, so only this target installs them.
power-test: DEPS += qemu-system-x86 e2fsprogs xfsprogs btrfs-progs
power-test: TEST_ENV = ARCHY_VM=1 POWER_N=$(N) POWER_OTHERS=$(OTHERS) POWER_SEED=$(SEED)
.PHONY: power-test
power-test: deps deb ## test power loss, panics and watchdogs on a virtual machine; N=30 OTHERS=5 SEED=… (root)
	$(GO) test $(AS_ROOT) -p 1 -count=1 -timeout 24h -v ./test/vm ./test/power

storm: TEST_ENV = STORM_N=$(or $(N),200) STORM_SEED=$(SEED)
.PHONY: storm
storm: deps deb ## kill the processes that recovery needs, N=200 times at random moments; SEED=… (root)
	$(GO) test $(AS_ROOT) -count=1 -timeout 12h -v -run '^TestStorm$$' ./test/recovery

.PHONY: deb
deb: ## build the Debian source and binary packages into dist/; DEB_ARCH=arm64
	@packaging/build-deb dist $(DEB_ARCH)
	@echo "$(DEB)"

.PHONY: lintian
lintian: deb ## check the packages with lintian: no error, no warning
	@$(MAKE) --no-print-directory deps DEPS=lintian
	lintian --allow-root --fail-on error,warning $(DEB:.deb=.changes)

.PHONY: reproducible
reproducible: ## build the packages twice, in different surroundings, and compare every byte
	@packaging/check-reproducible

# The release tools have their own module, so that their dependencies stay out of go.mod.
RELEASE_TOOL := $(GO) tool -C packaging/tools

.PHONY: lint
lint: ## check the code with golangci-lint (.golangci.yml); the first run builds the tool, which takes minutes
	$(GO) tool -modfile=packaging/tools/go.mod golangci-lint run ./...

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities with govulncheck (asks vuln.go.dev)
	$(RELEASE_TOOL) govulncheck -C $(CURDIR) ./...

.PHONY: sbom
sbom: ## write the list of linked modules and their licences to dist/ (CycloneDX)
	mkdir -p dist
	CGO_ENABLED=0 $(RELEASE_TOOL) cyclonedx-gomod app -json -std -licenses -noserial -main cmd/archy-recovery \
		-output $(CURDIR)/dist/archy-recovery_$(VERSION).cdx.json $(CURDIR)

.PHONY: release-check
release-check: build ## check a release: consistency, tests, linter, packages, vulnerabilities, SBOM (root)
	packaging/release-check $(VERSION)
	$(MAKE) test lint lintian reproducible vulncheck sbom

bin/archy-recovery bin/start-container:
	$(MAKE) build

.PHONY: install
install: bin/archy-recovery bin/start-container docs ## install below DESTDIR, PREFIX=/usr
	install -D -m 0755 bin/archy-recovery $(DESTDIR)$(PREFIX)/bin/archy-recovery
	install -D -m 0755 bin/start-container $(DESTDIR)$(PREFIX)/lib/archy-recovery/start-container
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/systemd/user
	for unit in $(UNITS) $(USER_UNITS); do \
		case $$unit in */user/*) manager=user;; *) manager=system;; esac; \
		to=$(DESTDIR)$(PREFIX)/lib/systemd/$$manager/$${unit##*/}; \
		sed 's|/usr/bin/archy-recovery|$(PREFIX)/bin/archy-recovery|' $$unit >$$to || exit 1; \
		chmod 0644 $$to || exit 1; \
	done
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d packaging/systemd/sysusers.d/archy-recovery.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/catalog packaging/systemd/catalog/archy-recovery.catalog
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/tmpfiles.d packaging/systemd/tmpfiles.d/archy-recovery.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/archy-recovery.conf.d packaging/systemd/archy-recovery.conf.d/*.conf
	@# An existing file belongs to the operator.
	test -e $(DESTDIR)/etc/archy-recovery.conf || \
		install -D -m 0644 packaging/systemd/archy-recovery.conf $(DESTDIR)/etc/archy-recovery.conf
	for page in $(MAN); do \
		install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; \
	done
	install -D -m 0644 bin/completions/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/archy-recovery
	install -D -m 0644 bin/completions/zsh $(DESTDIR)$(ZSH_COMPLETIONS)/_archy-recovery
	install -D -m 0644 bin/completions/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/archy-recovery.fish
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/archy-recovery README.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/archy-recovery/docs $(filter-out docs/man,$(wildcard docs/*))

.PHONY: install-cockpit
install-cockpit: ## install the page for Cockpit below DESTDIR, PREFIX=/usr
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/cockpit/archy-recovery packaging/cockpit/*

.PHONY: deps
deps: ## install the Debian packages that build and tests need
	@missing=; for package in $(DEPS); do \
		[ "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || \
			missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; \
		$(SUDO) apt-get update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; \
	fi

.PHONY: clean
clean: ## remove the build results; the trees of the test machines in .cache stay
	rm -rf bin dist

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
