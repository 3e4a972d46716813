# archy-recovery. `make help` lists the targets.
#
# Machine tests, the benchmark and the demo boot whole machines, which needs root. Only they, and installing packages,
# go through sudo; compiling never does.

PREFIX  ?= /usr
DESTDIR ?=
GO      ?= go

# The version stands in the changelog and nowhere else.
DEB_VERSION := $(shell sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' debian/changelog)
VERSION     := $(shell echo '$(DEB_VERSION)' | sed 's/-[^-]*$$//')
DEB_ARCH    ?= $(shell dpkg --print-architecture)
DEB          = dist/archy-recovery_$(DEB_VERSION)_$(DEB_ARCH).deb

# One static binary, the same from the same sources wherever they lie.
GO_BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# What runs while something is built for another architecture.
HOST_GO := env -u GOOS -u GOARCH $(GO)

MAN := $(patsubst docs/man/%.md,bin/man/%,$(wildcard docs/man/*.md))
# Debian's zsh looks in vendor-completions, others in site-functions.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions

# Empty for root. For others, `go test` and `go run` compile as the user and run the result as root; sudo drops the
# environment, so it gets what it needs. Root keeps a build cache of its own, or the user's would get root's files.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
AS_ROOT  = -exec '$(SUDO) env "PATH='"$$PATH"'" "GOMODCACHE='"$$($(GO) env GOMODCACHE)"'" "ARCHY_DEB=$(abspath $(DEB))" $(TEST_ENV)'

TEST_FLAGS   ?= -v
TEST_TIMEOUT ?= 60m

# mmdebstrap makes the trees of the test machines (checked against the archive keyring), systemd-container boots them;
# dbus is the private bus of the bus tests; strace shows what a crash can cut; gcc and libc6-dev are for the race detector
# and for a wrong clock; man-db reads the man pages as a user does; the last three build the package.
DEPS := mmdebstrap debian-archive-keyring systemd-container systemd dbus strace gcc libc6-dev man-db \
	build-essential debhelper dpkg-dev

UNITS    := $(wildcard packaging/systemd/archy-recovery*.service packaging/systemd/archy-recovery*.socket \
		packaging/systemd/archy-recovery*.timer)
SANDBOXED := archy-recovery.service archy-recovery@.service archy-recovery-snapshot.service archy-recovery-snapshot@.service

.PHONY: build
build: ## build bin/archy-recovery
	$(GO_BUILD) -o bin/archy-recovery ./cmd/archy-recovery

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
build-arm64: ## build bin/archy-recovery-arm64
	GOOS=linux GOARCH=arm64 $(GO_BUILD) -o bin/archy-recovery-arm64 ./cmd/archy-recovery

.PHONY: all-arch
all-arch: build build-arm64 ## build for amd64 or whatever this is, and for arm64

.PHONY: demo
demo: deps deb ## boot a machine, pull its plug, watch it recover (root)
	$(GO) run $(AS_ROOT) ./test/demo

.PHONY: test
test: check deb ## everything: check, then the machine tests (root)
	$(GO) test $(AS_ROOT) -p 1 -count=1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./test/...

.PHONY: check
check: deps check-units check-man ## format, vet, staticcheck, units, unit and bus tests; no root
	@unformatted=$$(gofmt -l cmd internal test) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -count=1 -timeout 10m ./cmd/... ./internal/...

# Go fuzzes one test at a time. What it finds is kept in testdata/fuzz, where each `make check` tries it again.
FUZZTIME ?= 10m
.PHONY: fuzz
fuzz: ## fuzz each parser and the API, one after another, FUZZTIME=10m each
	@mkdir -p dist # where the time runs out in the middle of an input, go calls that a failure
	@for package in $$(grep -rl --include=*_test.go '^func Fuzz' internal | xargs -n 1 dirname | sort -u); do \
		for test in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\).*/\1/p' $$package/*_test.go); do \
			echo "== $$package $$test"; \
			$(GO) test ./$$package -run '^$$' -fuzz "^$$test$$" -fuzztime $(FUZZTIME) $(FUZZ_FLAGS) 2>&1 | tee dist/fuzz.log; \
			grep -q '^ok\|^    context deadline exceeded' dist/fuzz.log || exit 1; \
		done; \
	done

soak: TEST_ENV = SOAK_MACHINE_N=$(or $(MACHINE_N),50)
.PHONY: soak
soak: deps deb ## 1,000 recoveries, 10,000 requests during others, 50 recoveries of machines; N=1000 MACHINE_N=50 (root)
	SOAK_N=$(or $(N),1000) $(GO) test -count=1 -timeout 2h -v -run '^(TestRecoveriesInALoop|TestLoadOnTheAPI)' ./internal/units
	$(GO) test $(AS_ROOT) -count=1 -timeout 2h -v -run '^TestSoak$$' ./test/recovery

.PHONY: check-units
check-units: ## systemd's own opinion of the units: they verify, and stay well sandboxed
	packaging/check-units $(SANDBOXED)

.PHONY: check-man
check-man: $(MAN) ## the man pages are formatted without a warning
	@for page in $^; do \
		said=$$(MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 $$page 2>&1 >/dev/null) || exit 1; \
		if [ -n "$$said" ]; then echo "$$page: $$said"; exit 1; fi; \
	done

.PHONY: bench
bench: deps deb all-arch ## measure recovery on a test machine (root)
	$(GO) run $(AS_ROOT) ./test/bench
	$(GO) run $(AS_ROOT) ./test/bench/journal

# Virtual machines, and the disks of them. Only these tests need that, so only they install it.
power-test: DEPS += qemu-system-x86 e2fsprogs xfsprogs btrfs-progs
power-test: TEST_ENV = ARCHY_VM=1 POWER_N=$(N) POWER_OTHERS=$(OTHERS) POWER_SEED=$(SEED)
.PHONY: power-test
power-test: deps deb ## power loss, panics and watchdogs on a virtual machine; N=30 OTHERS=5 SEED=… (root)
	$(GO) test $(AS_ROOT) -p 1 -count=1 -timeout 24h -v ./test/vm ./test/power

storm: TEST_ENV = STORM_N=$(or $(N),200) STORM_SEED=$(SEED)
.PHONY: storm
storm: deps deb ## kill what recovery lives on, N=200 times at random moments; SEED=… (root)
	$(GO) test $(AS_ROOT) -count=1 -timeout 12h -v -run '^TestStorm$$' ./test/recovery

.PHONY: deb
deb: ## build the Debian source and binary packages into dist/ (DEB_ARCH=arm64 for the other one)
	@packaging/build-deb dist $(DEB_ARCH)
	@echo "$(DEB)"

.PHONY: lintian
lintian: deb ## have the packages checked by lintian: no error, no warning
	@$(MAKE) --no-print-directory deps DEPS=lintian
	lintian --allow-root --fail-on error,warning $(DEB:.deb=.changes)

.PHONY: reproducible
reproducible: ## build the packages twice, differently, and compare every byte
	@packaging/check-reproducible

# The tools of a release have a module of their own, so that theirs are no dependencies of ours.
RELEASE_TOOL := $(GO) tool -C packaging/tools

.PHONY: vulncheck
vulncheck: ## have govulncheck look for known vulnerabilities (asks vuln.go.dev)
	$(RELEASE_TOOL) govulncheck -C $(CURDIR) ./...

.PHONY: sbom
sbom: ## list all that is linked in, with licences, in dist/ (CycloneDX)
	mkdir -p dist
	CGO_ENABLED=0 $(RELEASE_TOOL) cyclonedx-gomod app -json -std -licenses -noserial -main cmd/archy-recovery \
		-output $(CURDIR)/dist/archy-recovery_$(VERSION).cdx.json $(CURDIR)

.PHONY: release-check
release-check: build ## all that has to hold before a release: consistency, tests, packages, vulnerabilities, SBOM (root)
	packaging/release-check $(VERSION)
	$(MAKE) test lintian reproducible vulncheck sbom

bin/archy-recovery:
	$(MAKE) build

.PHONY: install
install: bin/archy-recovery docs ## install below DESTDIR, PREFIX=/usr
	install -D -m 0755 bin/archy-recovery $(DESTDIR)$(PREFIX)/bin/archy-recovery
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in $(UNITS); do \
		sed 's|/usr/bin/archy-recovery|$(PREFIX)/bin/archy-recovery|' $$unit \
			>$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; \
		chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; \
	done
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d packaging/systemd/sysusers.d/archy-recovery.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/catalog packaging/systemd/catalog/archy-recovery.catalog
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/tmpfiles.d packaging/systemd/tmpfiles.d/archy-recovery.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/archy-recovery.conf.d packaging/systemd/archy-recovery.conf.d/*.conf
	@# The operator's, should it be there.
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

.PHONY: deps
deps: ## install what is missing of the Debian packages that build and tests need
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
clean: ## remove what was built; the test machines' trees in .cache stay
	rm -rf bin dist

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14
