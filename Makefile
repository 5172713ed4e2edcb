# The commands a person runs; .ci/run calls the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
BUILDER ?= $(shell command -v podman || command -v docker || echo podman)
TAG ?= dev
# Names, versions and hashes and nothing else: no index, no path of a machine.
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench torture soak images manifests logs screenshots lock format

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## create .venv with everything

$(STAMP): pyproject.toml requirements/dev.txt requirements/helm.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/python -m release tools
	@touch $@

demo: $(STAMP) ## run the main job on a real S3 server, and watch it (KEEP=1 leaves it running)
	$(BIN)/python -m demo $(if $(KEEP),--keep)

test: $(STAMP) ## run all tests
	$(BIN)/pytest

check: $(STAMP) ## formatter, linter, types, Dockerfiles, chart
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile.webhook Dockerfile.sidecar
	$(BIN)/python -m release lint

images: $(STAMP) ## build both container images and their bills of materials (BUILDER, TAG, BUILD_OPTIONS)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[images]'
	$(BIN)/python -m release.images --builder $(BUILDER) --tag $(TAG) -- $(BUILD_OPTIONS)

manifests: $(STAMP) ## render manifests/, overlays/ and the chart's README from the chart
	$(BIN)/python -m release manifests

screenshots: $(STAMP) ## take the pictures in docs/ from a real run of some minutes, with Chromium
	$(BIN)/python -m demo.pictures

logs: $(STAMP) ## write the table of log lines in docs/LOGS.md from the source
	$(BIN)/python -m release logs

# All three at once: what the images hold is what the tests ran with.
lock: ## choose the newest allowed versions of all dependencies, anew
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check 'uv>=0.8,<1'
	rm -f requirements/dev.txt requirements/webhook.txt requirements/sidecar.txt
	build/lock/bin/$(COMPILE) --extra webhook --extra controller --extra sidecar --extra dev --output-file requirements/dev.txt
	build/lock/bin/$(COMPILE) --extra webhook --extra controller --constraint requirements/dev.txt --output-file requirements/webhook.txt
	build/lock/bin/$(COMPILE) --extra sidecar --constraint requirements/dev.txt --output-file requirements/sidecar.txt

bench: $(STAMP) ## measure the sidecar beside its peers and write benchmarks/RESULTS.md (BENCH="--only ROW --quick --repeat N")
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks $(BENCH)

torture: $(STAMP) ## 100,000 malformed reviews, long storms, any acts in any order, then kill sidecars at random under constant change, for long (SEED, MINUTES=10)
	$(BIN)/python -m tests.torture.reviews $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m tests.torture.fuzz_reviews $(if $(SEED),--seed $(SEED))
	$(BIN)/pytest tests/faults/long_storms.py tests/properties/long_machine.py
	$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

soak: $(STAMP) ## run one sidecar at mixed load, see that nothing of it grows, write benchmarks/SOAK.md (MINUTES=30)
	$(BIN)/python -m tests.torture.soak $(if $(MINUTES),--minutes $(MINUTES))

format: $(STAMP) ## format the code and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
