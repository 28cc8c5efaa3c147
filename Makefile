# `make run`, `make test`: install what is missing, build, go. Details: HACKING.md.
SHELL := /bin/bash
.DEFAULT_GOAL := build
CXX_FILES = $(shell git ls-files '*.cc' '*.h')

.PHONY: run build configured everything test test-fast asan tsan fuzz tidy format format-check clean packages help

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

packages:
	@tools/install-packages

build: configured ## Build build/hearth (installs what is missing)
	@cmake --build --preset release --target hearth

configured: packages
	@test -f build/build.ninja || cmake --preset release

run: build ## Start this device in the foreground
	@build/hearth serve

everything: configured
	@cmake --build --preset release

test: everything ## Build and run every test
	@tools/run-tests build

test-fast: everything ## The tests that need no second device and no browser
	@tools/run-tests build -LE 'cluster|browser|client'

asan: packages ## Every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan && cmake --build --preset asan && tools/run-tests build-asan -LE 'browser|client'

tsan: packages ## Every test under ThreadSanitizer
	@cmake --preset tsan && cmake --build --preset tsan && tools/run-tests build-tsan -LE 'browser|client'

fuzz: packages ## Fuzz what reads files from elsewhere, FUZZ_SECONDS (60) for each target
	@cmake --preset fuzz && cmake --build --preset fuzz && tools/run-fuzzers build-fuzz

tidy: everything ## clang-tidy's bug checks over all sources
	@tools/run-clang-tidy

format: packages ## Format all sources
	@clang-format -i $(CXX_FILES)

format-check: packages ## Fail if `make format` would change anything
	@clang-format --dry-run -Werror $(CXX_FILES)

clean: ## Remove everything that was built
	rm -rf build build-dev build-asan build-tsan build-fuzz dashboard/dist
