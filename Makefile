# Three commands do everything: `make reproduce`, `make tables` and `make test`. `make help` lists the rest.

PYTHON ?= python3
DATASET ?= market1501
DATA ?= synthetic
PROFILE ?= demo
# Partial-iLIDS has no training set: the folder of Market-1501, and that of i-LIDS MCTS for the closed protocol.
TRAIN_DATA ?= $(if $(filter synthetic,$(DATA)),synthetic)
ILIDS_DATA ?= $(if $(filter synthetic,$(DATA)),synthetic)

OUTPUTS = $(or $(GAAP_OUTPUTS),outputs)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install plan tables photographs reproduce report verify test test-backends test-browser test-slurm soak attack mutants audit lint notebooks benchmark reference lab results lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'
	@echo "  Variables of reproduce: DATASET=$(DATASET) DATA=$(DATA) PROFILE=$(PROFILE)"
	@echo "  Variables of plan and tables: PROFILE=$(PROFILE) DATA=$(DATA) BACKBONES DATASETS FOLDS SEEDS PARTS PRECISION JOBS GPUS WHERE=$(WHERE)"

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

# The graph of all runs, see workflow/README.md. Here DATA is a folder with one folder per data set, named as in
# `gaap data`; WHERE is a folder of workflow/profiles; lists have commas or spaces; settings not given are the plan's.
WHERE ?= local
GRAPH = $(BIN)/python workflow/graph.py
CALL = --on "$(WHERE)" $(if $(JOBS),--jobs $(JOBS))
SETTINGS = --parts "$(PARTS)" profile=$(PROFILE) data="$(DATA)" backbones="$(BACKBONES)" datasets="$(DATASETS)" \
	folds="$(FOLDS)" seeds="$(SEEDS)" gpus=$(GPUS) precision=$(PRECISION)

plan: install ## List what `make tables` would run and how many hours it takes; nothing is run
	$(GRAPH) plan $(CALL) $(SETTINGS)

tables: install ## Run whatever is missing, rebuild all tables and figures, and list failures
	$(GRAPH) tables $(CALL) $(SETTINGS)

photographs: install ## Make the runs on photographs, CUHK03 in data/cuhk03, and beside them; PARTS selects some
	$(GRAPH) photographs $(CALL) --parts "$(PARTS)" gpus=$(GPUS)

reproduce: install ## Make two runs on one data set, from DATA (synthetic: generated here) in PROFILE, and print the results
	@test "$(DATASET)" != partial_ilids -o -n "$(TRAIN_DATA)" || \
		{ echo "Partial-iLIDS has no training set: give TRAIN_DATA, the folder of Market-1501 (or synthetic)"; exit 1; }
	$(GRAPH) reproduce $(CALL) profile=$(PROFILE) dataset=$(DATASET) data="$(DATA)" \
		$(if $(filter partial_ilids,$(DATASET)),train_data="$(TRAIN_DATA)" ilids_data="$(ILIDS_DATA)")
	$(BIN)/gaap results
	@echo
	@echo "Executed notebooks: $(OUTPUTS)/notebooks/*/ and, with each run, $(OUTPUTS)/runs/*/notebook.ipynb"
	@echo "Open them with: make lab"

# Two workers with a thread each. The tests of repeatability start processes with two.
test: install ## The whole test suite, nbval over every notebook included
	GAAP_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg $(PYTEST_ARGS)

# Everything that computes with Keras, and smoke runs. The rest of the suite tests what no backend changes (files,
# tables, NumPy arrays), or would be slow: JAX compiles each further run and notebook anew.
BACKEND_TESTS := tests/network tests/methods tests/test_attention.py tests/test_pooling.py tests/training/test_batches.py \
	tests/training/test_fit.py tests/explain/test_heatmaps.py $(foreach name,test_a_run_leaves_everything_that_the_design_names \
	test_the_saved_model_gives_the_scores_again,tests/test_experiment.py::$(name))

test-backends: install $(VENV)/.backends ## Test models and smoke runs under JAX, and under PyTorch if it is installed
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist loadfile $(BACKEND_TESTS) $(PYTEST_ARGS)
	@if $(BIN)/python -c 'import torch' 2>/dev/null; then \
		KERAS_BACKEND=torch $(BIN)/python -m pytest -n 2 --dist loadfile $(BACKEND_TESTS) $(PYTEST_ARGS); \
	else echo "PyTorch is not installed: its tests are left out"; fi

$(VENV)/.backends: $(VENV)/.installed requirements-backends.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-backends.lock
	@touch $@

test-browser: install $(VENV)/.browser ## Run each notebook in JupyterLab under chromium, and open each page of the report; pictures go to outputs/browser
	@command -v chromium > /dev/null || { echo "chromium is needed; on Debian: apt install chromium"; exit 1; }
	GAAP_BROWSER=$$(command -v chromium) $(BIN)/python -m pytest tests/browser $(PYTEST_ARGS)

$(VENV)/.browser: $(VENV)/.installed requirements-browser.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.lock
	@touch $@

test-slurm: install ## Integration test: kill the driver of a small SLURM job graph and check that it recovers
	GAAP_SLURM=1 $(BIN)/python -m pytest -s tests/slurm $(PYTEST_ARGS)

soak: install ## Kill a training twenty times at random and check that it ends with the same weights
	GAAP_SOAK=20 $(BIN)/python -m pytest tests/training/test_resume.py

attack: install ## Attack every reader, kill runs, fill disks, collide processes; ATTACK=10000 is for a night
	rm -f $(OUTPUTS)/attack/attacks.csv
	GAAP_ATTACK=$(or $(ATTACK),300) $(BIN)/python -m pytest -s tests/attack $(PYTEST_ARGS)

mutants: install $(VENV)/.mutation ## Change the core modules line by line and count the changes that the tests notice
	$(BIN)/python tests/mutation/run.py

$(VENV)/.mutation: $(VENV)/.installed requirements-mutation.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutation.lock
	@touch $@

audit: install .venv-audit/.installed ## List the licences of what is installed in docs/licences.md, and look for known vulnerabilities
	@echo "The licences of what \`make install\` installs, as the packages state them (\`make audit\` wrote this). UNKNOWN: the package's" \
		> docs/licences.md
	@echo "metadata names none; its files do." >> docs/licences.md
	@echo >> docs/licences.md
	.venv-audit/bin/pip-licenses --python $(BIN)/python --from=mixed --order=license --format=markdown \
		--ignore-packages gaaplib >> docs/licences.md
	.venv-audit/bin/pip-audit --requirement requirements.lock --disable-pip --require-hashes

.venv-audit/.installed: requirements-audit.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	@touch $@

lint: install ## Check style and format, notebooks too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebooks: install ## Re-execute all notebooks in place and keep their outputs for committing
	$(BIN)/python notebooks/refresh.py

TORCH = $(if $(TORCH_PYTHON),--torch-python "$(TORCH_PYTHON)")

benchmark: install ## Measure beside peers: TORCHREID, FASTREID (source trees), RERANKING (a file), TORCH_PYTHON (an interpreter), CUHK03 (a copy), CHROMIUM (a browser)
	$(BIN)/python benchmarks/evaluation.py $(if $(TORCHREID),--torchreid "$(TORCHREID)") $(if $(FASTREID),--fastreid "$(FASTREID)")
	$(BIN)/python benchmarks/reranking.py $(if $(RERANKING),--reference "$(RERANKING)")
	$(BIN)/python benchmarks/synthetic.py
	for backbone in $(or $(BACKBONES),resnet18 resnet50); do \
		for work in training embedding; do \
			$(BIN)/python benchmarks/training.py --work $$work --backbone $$backbone $(TORCH) || exit 1; \
		done; \
		$(BIN)/python benchmarks/roof.py --backbone $$backbone || exit 1; \
	done
	$(if $(CHROMIUM),$(MAKE) $(VENV)/.browser && $(BIN)/python benchmarks/explorer.py --browser "$(CHROMIUM)")
	$(if $(CUHK03),$(BIN)/python benchmarks/whole_job.py "$(CUHK03)" $(if $(and $(TORCHREID),$(TORCH_PYTHON)),--torchreid "$(TORCHREID)" $(TORCH)))

REFERENCE := outputs/reference/runs

reference: install ## Add the small files of the finished runs of `make photographs` to outputs/reference, which is committed
	for run in $$($(BIN)/python workflow/graph.py names); do \
		test -f $(OUTPUTS)/runs/$$run/metrics.json || continue; \
		mkdir -p $(REFERENCE)/$$run; \
		cp $(OUTPUTS)/runs/$$run/*.json $(OUTPUTS)/runs/$$run/history.csv $(REFERENCE)/$$run/; \
		cp $(OUTPUTS)/runs/$$run/per_*.npz $(REFERENCE)/$$run/ || true; \
		test ! -f $(OUTPUTS)/runs/$$run/maps.csv || cp $(OUTPUTS)/runs/$$run/maps.csv $(REFERENCE)/$$run/; \
	done
	@echo "The committed notebooks show these runs; to bring them up to date: make notebooks"

report: install ## Build outputs/report/index.html from notebooks and runs, to be read offline
	$(BIN)/python workflow/report/build.py

# One that learns nothing, and the cheapest network, whose training took 17 minutes beside another run on two cores.
RUNS = $(addprefix synthetic-,market1501_resnet18_class_avg_histogram_fold0_seed0_088d7875 \
	market1501_resnet18_none_avg_gaap_fold0_seed0_9d46f7b5)

verify: install ## Re-run two committed runs, or RUNS="NAME NAME", and report value by value whether they match
	$(BIN)/gaap verify $(RUNS)

lab: install ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks

results: install ## Print the table of finished runs
	$(BIN)/gaap results

lock: ## Resolve the locks anew (needs uv)
	uv pip compile pyproject.toml --extra test --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --output-file requirements.lock
	printf 'jax\nopenvino\n' | uv pip compile - --constraint requirements.lock --universal --fork-strategy fewest --generate-hashes \
		--no-emit-index-url --no-header --python-version 3.11 --output-file requirements-backends.lock
	printf 'pip-audit\npip-licenses\n' | uv pip compile - --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --output-file requirements-audit.lock
	echo cosmic-ray | uv pip compile - --constraint requirements.lock --universal --generate-hashes \
		--no-emit-index-url --no-header --python-version 3.11 --output-file requirements-mutation.lock
	echo playwright | uv pip compile - --constraint requirements.lock --universal --generate-hashes \
		--no-emit-index-url --no-header --python-version 3.11 --output-file requirements-browser.lock

clean: ## Remove .venv and caches; results stay
	rm -rf $(VENV) .venv-audit $(OUTPUTS)/cache .pytest_cache .ruff_cache
