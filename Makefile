# Bare `make` lists the targets. Durations are for 2 cores, caches warm / cold.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOTESTSUM   := gotest.tools/gotestsum@v1.13.0
DEADCODE    := golang.org/x/tools/cmd/deadcode@v0.48.0
UNPARAM     := mvdan.cc/unparam@v0.0.0-20251027182757-5beb8c8f8f15
GOCOGNIT    := github.com/uudashr/gocognit/cmd/gocognit@v1.2.0
# Separate modules, so that what only they need is not a dependency of the main module.
MODULES     := $(patsubst %/go.mod,%,$(shell git ls-files '*/go.mod' 2>/dev/null | grep -v '^internal/jaegertest/'))

# The scenarios of the library, played to their verdicts.
SCENARIOS   := ./licensesvc/chaostest

.PHONY: help ci demo demo-cassandra test quick lint fmt bench fuzz clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the main job on embedded parts, needs only Go (1 min / 3 min)
	@# Built first, because go run ends with an error after Ctrl-C; in a job of its own, because
	@# make would end with an error too if the interrupt reached it.
	@go build -o bin/ ./licensesvc/cmd/licensesvc
	@set -m; bin/licensesvc demo; exit $$?

demo-cassandra: ## the same on three real Cassandra nodes, needs Java 17 and Maven (2 min / 4 min)
	@go build -o bin/ ./licensesvc/cmd/licensesvc
	@set -m; bin/licensesvc demo --store cassandra; exit $$?

test: ## every test; names what this machine lacks, with CI=true nothing is skipped
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && go vet ./... && go test ./...); done
	@echo "== $(SCENARIOS): by itself and without the race detector, for it judges what the machine can do"
	go test -timeout 20m $(SCENARIOS)
	go run $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg -- -race -timeout 20m $$(go list ./... | grep -v '/licensesvc/chaostest$$')

quick: ## the fast loop: no race detector, no nodes, no browser (1 min / 3 min)
	go test -short ./...

ci: ## what runs before a change lands: lint, the demonstration, all tests (CI installs with .ci/run)
	CI=true $(MAKE) lint
	CI=true $(MAKE) demo </dev/null
	CI=true $(MAKE) test

lint: ## gofmt, go vet, staticcheck, unparam, deadcode, gocognit (1 min / 3 min)
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	GOARCH=386 go vet ./...
	go run $(STATICCHECK) ./...
	go run $(UNPARAM) -tests=false ./...
	@# Examples without output are compiled, and never called.
	@dead=$$(go run $(DEADCODE) -test ./... | grep -v ': unreachable func: Example' || true); [ -z "$$dead" ] || { echo "nobody calls:"; echo "$$dead"; exit 1; }
	go run $(GOCOGNIT) -over 25 -ignore '(_test\.go|\.gen\.go|^docs/)' .

fmt: ## format the code
	git ls-files '*.go' | xargs gofmt -w

bench: ## the benchmarks against peers; rewrites the tables in docs/benchmarks
	cd docs/benchmarks && ./run

fuzz: ## each fuzz target for 30 s
	@for p in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(cd $$p && go test -list '^Fuzz' . | grep '^Fuzz'); do echo "== $$p $$f"; (cd $$p && go test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s .); done; done

clean: ## remove what the targets above made in this folder
	rm -rf out bin
