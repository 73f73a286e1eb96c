# Two commands do everything: `make reproduce` and `make test`. `make help` lists the rest.

PYTHON ?= python3
DATASET ?= market1501
DATA ?= synthetic
PROFILE ?= demo
# Partial-iLIDS has no training set: the folder of Market-1501, and that of i-LIDS MCTS for the closed protocol.
TRAIN_DATA ?= $(if $(filter synthetic,$(DATA)),synthetic)
ILIDS_DATA ?= $(if $(filter synthetic,$(DATA)),synthetic)

VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install reproduce test soak lint notebooks benchmark reference lab results lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "  Variables of reproduce: DATASET=$(DATASET) DATA=$(DATA) PROFILE=$(PROFILE)"

install: $(VENV)/.installed ## Make .venv from requirements.lock, hashes checked, and install the package

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || \
		{ echo "Python has no ensurepip; on Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

PARAMETERS = -p profile $(PROFILE) -p dataset $(DATASET) -p data "$(DATA)" \
	$(if $(filter partial_ilids,$(DATASET)),-p train_data "$(TRAIN_DATA)")
CLOSED = $(if $(filter partial_ilids,$(DATASET)),$(ILIDS_DATA))

reproduce: install ## Execute the notebooks on DATA (synthetic: drawn here) in PROFILE
	@test "$(DATASET)" != partial_ilids -o -n "$(TRAIN_DATA)" || \
		{ echo "Partial-iLIDS has no training set: give TRAIN_DATA, the folder of Market-1501 (or synthetic)"; exit 1; }
	$(BIN)/gaap run 01_data $(PARAMETERS)
	$(BIN)/gaap run 02_train $(PARAMETERS) -p attention none
	$(BIN)/gaap run 02_train $(PARAMETERS) -p attention class
	$(if $(CLOSED),$(BIN)/gaap run 02_train -p profile $(PROFILE) -p dataset ilids -p data "$(CLOSED)" -p attention none)
	$(if $(CLOSED),$(BIN)/gaap run 02_train -p profile $(PROFILE) -p dataset ilids -p data "$(CLOSED)" -p attention class)
	$(BIN)/gaap results
	@echo
	@echo "Executed notebooks: outputs/notebooks/*/ and, with each run, outputs/runs/*/notebook.ipynb"
	@echo "Open them with: make lab"

test: install ## The whole test suite, nbval over every notebook included
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg $(PYTEST_ARGS)

soak: install ## Kill a training twenty times at random, and see that it ends the same
	GAAP_SOAK=20 $(BIN)/python -m pytest tests/test_resume.py

lint: install ## Check style and format, notebooks too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebooks: install ## Execute the notebooks in place, as they are committed
	$(BIN)/python notebooks/refresh.py

benchmark: install ## Measure beside the peers named: TORCHREID, FASTREID (source trees), RERANKING (a file)
	$(BIN)/python benchmarks/evaluation.py $(if $(TORCHREID),--torchreid "$(TORCHREID)") $(if $(FASTREID),--fastreid "$(FASTREID)")
	$(BIN)/python benchmarks/reranking.py $(if $(RERANKING),--reference "$(RERANKING)")
	$(BIN)/python benchmarks/synthetic.py

REFERENCE := outputs/reference/runs

reference: install ## Run what notebooks 08 and 10 read, and copy its small files to outputs/reference
	$(BIN)/gaap run 02_train -p attention none
	$(BIN)/gaap run 02_train -p attention class
	$(BIN)/gaap run 02_train -p attention class -p pooling max
	$(BIN)/gaap run 02_train -p attention none -p method triplet
	rm -rf $(REFERENCE)
	for run in outputs/runs/synthetic-market1501_resnet18_*_fold0_seed0_*; do \
		mkdir -p $(REFERENCE)/$${run##*/}; \
		cp $$run/metrics.json $$run/config.json $$run/history.csv $$run/per_*.npz $(REFERENCE)/$${run##*/}/; \
	done

lab: install ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks

results: install ## Print the table of finished runs
	$(BIN)/gaap results

lock: ## Resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra test --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --output-file requirements.lock

clean: ## Remove .venv and caches; results stay
	rm -rf $(VENV) outputs/cache .pytest_cache .ruff_cache
