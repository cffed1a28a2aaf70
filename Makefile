# The few commands a person needs. Everything else is CMake: see CMakePresets.json.
.PHONY: run build test bench fuzz clean deps

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

test: ## install what is missing, build in all flavours, run all tests
	@scripts/test

bench: build ## measure, and print the table
	@scripts/bootstrap bench
	@benchmarks/run

fuzz: deps ## a minute of fuzzing for each parser
	@scripts/bootstrap test
	@scripts/fuzz 60

clean:
	rm -rf build
