# The two commands of the README are `make deliver` and `make test`; the rest is for those who work on the project.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then; most of what is installed never is.
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export DO_NOT_TRACK := 1
# Where it is set, each of the processes that the tests start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: deliver analytics share postgres spark cluster load engines volume test project slow sequences faults sweep far dropbear azurite nasty gate poison histories crosscheck compile mutants lint generate dictionary schema reference lists lock clean

deliver: $(VENV)/run.stamp ## build the sample, test it, deliver yesterday's files
	@$(BIN)/delivery run --build --window $(or $(WINDOW),2026-11-03)

analytics: $(VENV)/dev.stamp ## the page of the sample: build and deliver it first
	@$(BIN)/delivery analytics

share: $(VENV)/dev.stamp ## the sample's share on this machine: the page, SFTP and figures; deliver first
	@$(BIN)/python -m benchmarks.share

export RAW_DIR ?= $(CURDIR)/raw
ENGINES ?= duckdb postgres spark
load: $(VENV)/run.stamp ## the landing folder into the raw tables that Spark reads: RAW_DIR
	@$(BIN)/delivery --target spark load

spark: $(VENV)/spark.stamp load ## the sample built, tested and delivered on Spark
	@DBT_TARGET_PATH=target/spark $(BIN)/delivery --target spark run --build --window $(or $(WINDOW),2026-11-03)

cluster: $(VENV)/spark.stamp load ## the same on a standalone master with two workers
	@DBT_TARGET_PATH=target/spark $(BIN)/python -m benchmarks.cluster $(BIN)/delivery --target spark run --build --window $(or $(WINDOW),2026-11-03)

engines: $(VENV)/dev.stamp $(if $(findstring spark,$(ENGINES)),$(VENV)/spark.stamp) ## the sample on each of ENGINES, compared file by file; ends with one line of figures
	@$(BIN)/python -m tests.engines $(ENGINES)

volume: $(VENV)/dev.stamp $(if $(findstring spark,$(ENGINES)),$(VENV)/spark.stamp) ## generated events (EVENTS, 5 million) on each of ENGINES, compared file by file; hours; ends with one line of figures
	@$(BIN)/python -m tests.engines.volume $(if $(filter command% environment%,$(origin EVENTS)),--events $(EVENTS)) $(if $(filter command% environment%,$(origin DAYS)),--days $(DAYS)) $(if $(CUSTOMERS),--customers $(CUSTOMERS)) $(ENGINES)

postgres: $(VENV)/dev.stamp ## the sample loaded into PostgreSQL (PGHOST, PGDATABASE, …), built, tested and delivered
	@$(BIN)/delivery --target postgres load
	@DBT_TARGET_PATH=target/postgres $(BIN)/delivery --target postgres run --build --window $(or $(WINDOW),2026-11-03)

test: $(VENV)/dev.stamp ## the product's tests, in five to ten minutes
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not project" $(PYTEST_ARGS)

project: $(VENV)/dev.stamp ## the tests of docs, sample, generator and of how it is tested
	$(BIN)/python -m pytest -n 2 -m "project and not slow" $(PYTEST_ARGS)

slow: $(VENV)/dev.stamp ## the tests that `make test` leaves out, but for the sequences; SAMPLE, as for all that is long: 0/8 to 7/8, or all
	$(BIN)/python -m pytest -q -n 2 -m slow tests/delivery tests/dbt tests/faults/test_processes.py --ignore tests/delivery/test_long_sequences.py $(PYTEST_ARGS)

sequences: $(VENV)/dev.stamp ## 2,000 sequences of runs, faults and decisions; SAMPLE
	$(BIN)/python -m pytest -q -n 2 -m slow tests/delivery/test_long_sequences.py $(PYTEST_ARGS)

SWEEP := lint test project slow sequences nasty faults gate poison histories crosscheck compile engines
sweep: $(VENV)/dev.stamp ## everything whole, the mutants last; goes on after what failed; ends with a line for each part
	@SAMPLE=all $(BIN)/python tests/delivery/parts.py $(SWEEP) mutants

faults: $(VENV)/dev.stamp ## every fault at every step and message of a delivery; ends with one line of figures
	@$(BIN)/python -m pytest -q tests/faults/test_control.py $(PYTEST_ARGS)
	@$(BIN)/python tests/faults/sweep.py

gate: $(VENV)/dev.stamp ## commands of dbt and edits that might let something unproven leave; ends with one line of figures
	@$(BIN)/python -m tests.gate

poison: $(VENV)/dev.stamp ## kinds of bad data of one client, of which nobody else notices; ends with one line of figures
	@$(BIN)/python -m tests.poison

histories: $(VENV)/dev.stamp ## orders in which raw data may arrive (N, SEED), built by day and anew; ends with one line of figures
	@N="$(N)" SEED="$(if $(filter command% environment%,$(origin SEED)),$(SEED))" $(BIN)/python -m tests.histories

dropbear: $(VENV)/dev.stamp ## the same delivery on Dropbear, which CI does not have; says what is missing
	DROPBEAR=1 NO_SKIPS=1 $(BIN)/python -m pytest -q tests/delivery/test_servers.py -k dropbear $(PYTEST_ARGS)

azurite: $(VENV)/dev.stamp ## the same bucket on Azurite, which CI does not have; AZURITE, its program, by npm install azurite
	AZURITE="$(or $(AZURITE),azurite-blob)" $(BIN)/python -m pytest -q tests/delivery/test_azurite.py $(PYTEST_ARGS)

mutants: $(VENV)/dev.stamp ## a seeded sample of faults, each against the tests that touch it (N_PYTHON N_SQL SEED ROOMS, GUARDS=1); ends with one line of figures
	@N_PYTHON="$(N_PYTHON)" N_SQL="$(N_SQL)" SEED="$(if $(filter command% environment%,$(origin SEED)),$(SEED))" ROOMS="$(ROOMS)" GUARDS="$(GUARDS)" $(BIN)/python -m tests.mutants

nasty: $(VENV)/dev.stamp ## nasty values in every dialect, read by readers that no one here wrote; ends with one line of figures
	@$(BIN)/python -m tests.nasty

crosscheck: $(VENV)/dev.stamp ## analytics computed a second time from the raw files; ends with one line of figures
	@$(BIN)/python -m tests.crosscheck

compile: $(VENV)/dev.stamp ## the project compiled for warehouses that are not at hand, read by a parser of each; ends with one line of figures
	@$(BIN)/python -m tests.compile

far: $(VENV)/dev.stamp ## 1 GiB to a server 40 ms away, beside paramiko's put and OpenSSH; minutes
	@$(BIN)/python -m benchmarks.far

lint: $(VENV)/dev.stamp ## ruff, strict types, the layers of the package, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/sqlfluff lint models tests/dbt --disable-progress-bar --processes 2

EVENTS ?= 1000000
DAYS ?= 1
NAMESPACES ?= 2
SEED ?= 1
OUT ?= generated
generate: $(VENV)/run.stamp ## raw data of any size: EVENTS DAYS NAMESPACES CUSTOMERS SEED OUT
	$(BIN)/python -m benchmarks.generate --events $(EVENTS) --days $(DAYS) --namespaces $(NAMESPACES) $(if $(CUSTOMERS),--customers $(CUSTOMERS)) --seed $(SEED) --out $(OUT)

dictionary: $(VENV)/run.stamp ## docs/data-dictionary.md from the models
	$(BIN)/delivery dictionary -o docs/data-dictionary.md

schema: $(VENV)/run.stamp ## the editors' schema of integrations.yml
	$(BIN)/delivery schema > docs/integrations.schema.json

reference: dictionary schema ## the pages made from the project; tests say when one is stale

lists: $(VENV)/dev.stamp ## the seeds that other people keep, from their packages as installed: phone numbers and programs
	@$(BIN)/python seeds/refresh.py

lock: ## new versions within the bounds of requirements/*.in; needs uv
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header requirements/run.in -o requirements/run.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header requirements/dev.in -c requirements/run.lock -o requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header requirements/spark.in -c requirements/dev.lock -c requirements/run.lock -o requirements/spark.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header requirements/compile.in -o requirements/compile.lock

$(VENV)/run.stamp: requirements/run.lock pyproject.toml
	@echo "Installing into $(VENV) what is needed to run; once, about a minute …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -e $(VENV)/dev.stamp || $(PIP) --require-hashes -r requirements/run.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock pyproject.toml
	@echo "Installing into $(VENV) what is needed to develop …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/dev.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/run.stamp

$(VENV)/spark.stamp: requirements/spark.lock $(VENV)/run.stamp
	@echo "Installing what Spark needs …"
	@$(PIP) --require-hashes -r requirements/spark.lock
	@touch $@

# Adapters that ask for other versions than the product's: an environment of their own.
$(VENV)/compile.stamp: requirements/compile.lock
	@echo "Installing the adapters of other warehouses into $(VENV)/compile …"
	@$(PYTHON) -m venv $(VENV)/compile
	@$(VENV)/compile/bin/python -m pip install -qq --disable-pip-version-check --no-compile --require-hashes -r requirements/compile.lock
	@touch $@

clean: ## everything that the commands made, except what was delivered
	rm -rf target logs warehouse.duckdb warehouse.duckdb.wal .pytest_cache .mypy_cache .ruff_cache
