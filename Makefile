# The two commands that matter: make demo, and make test. Both install what is
# missing on a Debian machine first.

GO          ?= go
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 10s
SOAKTIME    ?= 10m

.PHONY: build docs install packages test-packages demo test test-kernels test-desktop test-portable test-stores bench test-any-size soak linters lint fuzz clean setup-demo setup-test setup-bench setup-desktop setup-kernels
.DEFAULT_GOAL := build

# Go asks git itself for the version, and fails in a clone that is another user's.
NOVCS := -buildvcs=false

build: ## bin/downloadfs
	$(GO) build $(NOVCS) -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/downloadfs ./cmd/downloadfs

# Where make install puts things, in DESTDIR if that is set.
PREFIX  ?= /usr/local
DESTDIR ?=

docs: ## man pages and completions, in bin/docs
	@rm -rf bin/docs && mkdir -p bin/docs
	$(GO) run $(NOVCS) -ldflags "-X main.version=$(VERSION)" ./cmd/downloadfs gendocs bin/docs

install: ## downloadfs, its man pages, completions, units and the helpers of mount(8), in PREFIX
	@# The PATH of sudo often has no Go, and what root builds only root can replace.
	@if [ -z "$$SUDO_USER" ] || [ ! -e bin/downloadfs ] || [ ! -e bin/docs ]; then $(MAKE) build docs; fi
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/share/systemd/user $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 bin/downloadfs $(DESTDIR)$(PREFIX)/bin/downloadfs
	install -m 644 bin/docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 dist/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 bin/docs/downloadfs $(DESTDIR)$(PREFIX)/share/bash-completion/completions/downloadfs
	install -m 644 bin/docs/_downloadfs $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_downloadfs
	install -m 644 bin/docs/downloadfs.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/downloadfs.fish
	@# systemd looks in share for a person's units if PREFIX is /usr/local, and if it is ~/.local.
	for dir in share/systemd/user lib/systemd/system; do \
		sed 's|/usr/bin/|$(PREFIX)/bin/|' dist/systemd/$${dir##*/}/downloadfs@.service >$(DESTDIR)$(PREFIX)/$$dir/downloadfs@.service && \
		chmod 644 $(DESTDIR)$(PREFIX)/$$dir/downloadfs@.service || exit 1; \
	done
	@# mount(8) looks in /sbin only, which is root's.
	if [ -w $(DESTDIR)/sbin ] || [ -n "$(DESTDIR)" ]; then \
		install -d $(DESTDIR)/sbin && ln -sf $(PREFIX)/bin/downloadfs $(DESTDIR)/sbin/mount.downloadfs && \
		ln -sf $(PREFIX)/bin/downloadfs $(DESTDIR)/sbin/mount.fuse.downloadfs; \
	fi

packages: ## binaries, deb, rpm, apk and Arch packages, container images, and what is in them, in bin/packages
	scripts/package all

test-packages: ## all of them; the deb from nothing to a mount after a reboot, in a Debian of its own
	@scripts/setup packages
	scripts/package all
	cd dist/release && $(GO) vet ./... && $(GO) test -count=1 ./...
	DOWNLOADFS_PACKAGES=$(CURDIR)/bin/packages $(GO) test -count=1 -timeout 30m -v -run '^TestPackage' ./integration

demo: setup-demo build ## the main job, step by step
	bin/downloadfs demo

# Most integration tests wait most of the time, so more of them run at once than
# there are processors, and time bounds are twice as long. They take the longest, so
# they come first and the other packages run beside them. make lint has vetted all.
AT_ONCE := -count=1 -vet=off -timeout 30m -parallel 4 -p 2 ./integration ./...

test: setup-test ## every test, with the race detector and then on one processor
	DOWNLOADFS_TEST_SLOW=2 DOWNLOADFS_TEST_SHARE=1 $(GO) test -race $(AT_ONCE)
	DOWNLOADFS_TEST_SLOW=2 DOWNLOADFS_TEST_SHARE=2 GOMAXPROCS=1 $(GO) test $(AT_ONCE)
	DOWNLOADFS_TEST_SLOW=2 $(GO) test -count=1 -vet=off -tags s3 ./share/cloud
	$(GO) run $(NOVCS) ./integration/kernels -tags portable -timeout 10m -run '$(ON_OTHERS)' here
	@if [ "$$(uname -m)" = x86_64 ]; then \
		$(GO) run $(NOVCS) ./integration/kernels -timeout 10m -run '$(ON_OTHERS)' uml; \
	else \
		echo "user-mode-linux: SKIPPED, there is none for $$(uname -m)"; \
	fi

# What make test runs again, with the decisions that other systems than Linux get
# and on an older kernel: what depends on them.
ON_OTHERS := ^(TestMainJob|TestNewFromShells|TestBrowsing|TestCancel|TestJournal|TestCacheCommand|TestUnmountDeadMount|TestSignalEndsWaitingReader)$$

test-kernels: setup-kernels ## the integration tests on other kernels, as a table; KERNELFLAGS="-run TestBrowsing uml" for a part
	$(GO) run $(NOVCS) ./integration/kernels $(KERNELFLAGS)

# Screenshots of what fails are kept in bin/screenshots.
test-desktop: setup-desktop ## file managers, editors, archive programs, a browser and an office, used by keyboard and mouse as a person does
	DOWNLOADFS_TEST_DESKTOP=yes DOWNLOADFS_SCREENSHOTS=$(CURDIR)/bin/screenshots \
		$(GO) test -count=1 -timeout 30m -parallel 1 -v -run '^(TestDesktop|TestFileManagers)' ./integration

test-portable: setup-test ## the integration tests with the decisions that other systems than Linux get, as a table
	$(GO) run $(NOVCS) ./integration/kernels -tags portable here

bench: setup-bench ## the table of README, measured on this machine; takes about an hour
	cd integration/bench && $(GO) test -count=1 -timeout 90m -table $(BENCHFLAGS)

test-stores: linters ## the stores of --share on what there is of them without an account: S3, Google's and Microsoft's emulators
	@scripts/setup stores
	bin/linters/golangci-lint run --build-tags stores $(TAGGED)
	cd integration/stores && $(GO) vet ./...
	$(GO) test -count=1 -v -tags stores ./share/cloud
	$(GO) test -count=1 -v -run '^TestShareS3' ./integration

test-any-size: setup-test ## archives of 70,000 files and more than 4 GiB in parts, read by tools; takes minutes, and 20 GB of disk
	DOWNLOADFS_ANY_SIZE=1 $(GO) test -count=1 -timeout 60m -v -run '^TestAnySizeOfEverything$$' ./integration

soak: setup-test ## everything at once, with all kinds of trouble, for $(SOAKTIME)
	DOWNLOADFS_SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./integration

# What has files that only builds with object stores have.
TAGGED := ./cmd/downloadfs ./share/cloud

# What make lint runs. It needs no C, so it can be compiled before there is a C compiler.
linters: ## golangci-lint, in bin/linters
	CGO_ENABLED=0 GOBIN="$(CURDIR)/bin/linters" $(GO) install $(GOLANGCI)

lint: linters ## gofmt, go vet for Linux and macOS, golangci-lint, govulncheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	GOOS=linux $(GO) vet ./...
	GOOS=linux $(GO) vet -tags portable ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) vet -tags s3 $(TAGGED)
	bin/linters/golangci-lint run ./...
	@if ! command -v curl >/dev/null; then \
		echo "govulncheck: SKIPPED, curl is missing, which looks for its database; run: scripts/setup test"; \
	elif curl -sfo /dev/null --max-time 5 https://vuln.go.dev/index/db.json; then \
		$(GO) run $(GOVULNCHECK) ./...; \
	else \
		echo "govulncheck: SKIPPED, its database at vuln.go.dev cannot be reached"; \
	fi

fuzz: ## every fuzz target for $(FUZZTIME)
	@$(GO) list $(NOVCS) ./... | while read -r pkg; do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep ^Fuzz); do \
			echo "fuzz $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg || exit 1; \
		done; \
	done

setup-demo:
	@scripts/setup demo

setup-bench:
	@scripts/setup bench

setup-test:
	@scripts/setup test

setup-desktop:
	@scripts/setup desktop

setup-kernels:
	@scripts/setup kernels

clean:
	rm -rf bin
