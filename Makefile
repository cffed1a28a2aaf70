# The few commands a person needs. Everything else is CMake: see CMakePresets.json.
.PHONY: run build test check bench bench-curves bench-instructions bench-build fuzz lint coverage soak fresh clean deps

ARGS ?=
build/release/tidemark: build

build: deps
	@cmake --preset release > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@cmake --build --preset release

deps:
	@mkdir -p build
	@scripts/bootstrap build

run: build ## install what is missing, build, start the server
	build/release/tidemark serve $(ARGS)

test: ## install what is missing, build in all flavours, run all tests; about 15 minutes
	@scripts/test

check: ## the tests for everyday work: one build, unit and integration tests; under 3 minutes
	@scripts/test check

bench: bench-build ## measure beside the peers, print the table; about 15 minutes
	@benchmarks/run

bench-curves: bench-build ## plot what an event costs; about 10 minutes
	@benchmarks/curves

bench-instructions: bench-build ## count instructions
	@benchmarks/instructions

bench-build:
	@scripts/bootstrap bench
	@$(MAKE) --no-print-directory build

fuzz: deps ## a minute of fuzzing for each parser
	@scripts/bootstrap test
	@scripts/fuzz 60

lint: deps ## static analysis: clang-tidy, cppcheck, gcc's analyzer
	@scripts/lint

coverage: deps ## the lines of the store and of the parsers that tests reach; about 10 minutes
	@scripts/bootstrap coverage
	@scripts/coverage

soak: build ## ten minutes of faults of all kinds at random, and a judge of all that was answered
	@scripts/bootstrap test
	@TIDEMARK_BIN=build/release/tests/tidemark-faulty python3 -B tests/soak/soak.py $(or $(SECONDS),600) $(SEED)

fresh: ## both commands of the README on a bare Debian 12, which is built for it and removed; as root
	@scripts/fresh

clean:
	rm -rf build
