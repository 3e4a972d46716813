# archy-recovery. `make help` lists the targets.
#
# Machine tests, the benchmark and the demo boot whole machines, which needs root. Only they, and installing packages,
# go through sudo; compiling never does.

PREFIX  ?= /usr
DESTDIR ?=
GO      ?= go

# The version stands in the changelog and nowhere else.
DEB_VERSION := $(shell sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' packaging/debian/changelog)
VERSION     := $(shell echo '$(DEB_VERSION)' | sed 's/-[^-]*$$//')
DEB_ARCH    ?= $(shell dpkg --print-architecture)
DEB          = dist/archy-recovery_$(DEB_VERSION)_$(DEB_ARCH).deb

# One static binary, the same from the same sources wherever they lie.
GO_BUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

# Empty for root. For others, `go test` and `go run` compile as the user and run the result as root; sudo drops the
# environment, so it gets what it needs. Root keeps a build cache of its own, or the user's would get root's files.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)
AS_ROOT  = -exec '$(SUDO) env "PATH='"$$PATH"'" "GOMODCACHE='"$$($(GO) env GOMODCACHE)"'" "ARCHY_DEB=$(abspath $(DEB))" $(TEST_ENV)'

TEST_FLAGS   ?= -v
TEST_TIMEOUT ?= 60m

# mmdebstrap makes the trees of the test machines (checked against the archive keyring), systemd-container boots them;
# dbus is the private bus of the bus tests; strace shows what a crash can cut; gcc and libc6-dev are for the race detector; the last three build the package.
DEPS := mmdebstrap debian-archive-keyring systemd-container systemd dbus strace gcc libc6-dev \
	build-essential debhelper dpkg-dev

UNITS    := $(wildcard packaging/systemd/archy-recovery*.service packaging/systemd/archy-recovery*.socket \
		packaging/systemd/archy-recovery*.timer)
SANDBOXED := archy-recovery.service archy-recovery@.service archy-recovery-snapshot.service archy-recovery-snapshot@.service

.PHONY: build
build: ## build bin/archy-recovery
	$(GO_BUILD) -o bin/archy-recovery ./cmd/archy-recovery

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
check: deps check-units ## format, vet, staticcheck, units, unit and bus tests; no root
	@unformatted=$$(gofmt -l cmd internal test) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -race -count=1 -timeout 10m ./cmd/... ./internal/...

.PHONY: check-units
check-units: ## systemd's own opinion of the units: they verify, and stay well sandboxed
	packaging/check-units $(SANDBOXED)

.PHONY: bench
bench: deps deb all-arch ## measure recovery on a test machine (root)
	$(GO) run $(AS_ROOT) ./test/bench

# Virtual machines, and the disks of them. Only these tests need that, so only they install it.
power-test: DEPS += qemu-system-x86 e2fsprogs xfsprogs btrfs-progs
power-test: TEST_ENV = ARCHY_VM=1 POWER_N=$(N) POWER_OTHERS=$(OTHERS) POWER_SEED=$(SEED)
.PHONY: power-test
power-test: deps deb ## power loss, panics and watchdogs on a virtual machine; N=30 OTHERS=5 SEED=… (root)
	$(GO) test $(AS_ROOT) -p 1 -count=1 -timeout 24h -v ./test/vm ./test/power

# In a copy, so that the tree stays clean. -d: the Go toolchain need not be a package, nor is a cross compiler needed.
.PHONY: deb
deb: ## build the Debian package into dist/ (DEB_ARCH=arm64 for the other one)
	@set -e; top=$$PWD; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	mkdir -p dist "$$tmp/src"; \
	tar -c --exclude=./.git --exclude=./.cache --exclude=./bin --exclude=./dist . | tar -x -C "$$tmp/src"; \
	cd "$$tmp/src"; \
	GOCACHE=$$($(GO) env GOCACHE) GOMODCACHE=$$($(GO) env GOMODCACHE) MAKEFLAGS= \
		dpkg-buildpackage -b -us -uc -d -a$(DEB_ARCH); \
	mv "$$tmp"/*.deb "$$top/dist/"; \
	echo "$(DEB)"

bin/archy-recovery:
	$(MAKE) build

.PHONY: install
install: bin/archy-recovery ## install below DESTDIR, PREFIX=/usr
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
	for doc in $(wildcard README.md); do \
		install -D -m 0644 $$doc $(DESTDIR)$(PREFIX)/share/doc/archy-recovery/$$doc || exit 1; \
	done

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
