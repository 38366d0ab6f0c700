# Every target installs what it lacks (Debian, Ubuntu) or says what to install. Needs Rust.

.PHONY: demo test test-long bench fmt clippy build
.DEFAULT_GOAL := build

# For a shell that has not read ~/.cargo/env since Rust was installed.
export PATH := $(PATH):$(HOME)/.cargo/bin

build:
	@.ci/provide cc
	cargo build --locked --release

# A throw-away Postgres with the ambassador in front; DEMO_ARGS=--once ends after the report.
demo:
	@.ci/provide cc postgresql
	@cargo run --locked --release -- demo --bench $(DEMO_ARGS)

test:
	@.ci/test

# With the long set: a minute or more each.
test-long:
	@.ci/test long

# Against PgBouncer on this machine; BENCH_ARGS go to the benchmark.
bench:
	@.ci/provide cc postgresql pgbouncer
	cargo bench --locked $(BENCH_ARGS)

fmt:
	@.ci/provide rustfmt
	cargo fmt

clippy:
	@.ci/provide clippy
	cargo clippy --locked --all-targets -- -D warnings
