# Everything sets itself up: a virtual environment in .venv, made anew when the project's metadata change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ONE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
N ?= 100000
EXAMPLES ?= 100
RUNS ?= 20

JOBS ?= 2

.PHONY: verify test lint types docs guide evidence frameworks mutants diagnoses soak bench speed training hostile recorded networks runs sample clean

verify: $(READY)  ## hold all of npnet's own layers against torch
	$(ONE) $(BIN)/npnet verify --examples $(EXAMPLES) -j $(JOBS)

test: $(READY)  ## the tests
	$(ONE) $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

docs: $(READY)  ## the porting guide as a site, in build/guide
	$(ONE) $(BIN)/npnet guide --build build/guide

guide: $(READY)  ## whether every page of the guide still says what is so
	$(ONE) $(BIN)/npnet guide --check

evidence: $(READY)  ## what the guide's pages cite: layers asked, claims checked, mistakes told
	$(ONE) $(BIN)/python -m tests.studies.evidence -j $(JOBS)

mutants: $(READY)  ## planted mistakes: how soon each is found, and what is blamed
	$(ONE) $(BIN)/python -m tests.studies.mutants

diagnoses: $(READY)  ## planted mistakes: how often the first explanation is the true cause
	$(ONE) $(BIN)/python -m tests.studies.diagnoses --show

hostile: $(READY)  ## candidates that crash, hang, lie and meddle: the verdicts, and what is left
	$(ONE) $(BIN)/python -m tests.studies.hostile

recorded: .venv-recorded/.ready  ## npnet's own layers against recorded answers, where torch is not installed
	! .venv-recorded/bin/python -c "import torch" 2>/dev/null
	$(ONE) .venv-recorded/bin/npnet verify --device recorded -q -j $(JOBS)

.venv-recorded/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-recorded
	.venv-recorded/bin/python -m pip install -q --upgrade 'pip>=25.1'
	.venv-recorded/bin/python -m pip install -q -c constraints.txt -e '.[verify]'
	touch $@

frameworks: .venv-frameworks/.ready  ## npnet.convert's tables against Keras, TensorFlow and Flax: proven.json
	$(ONE) .venv-frameworks/bin/python -m tests.studies.frameworks --keep
	$(ONE) .venv-frameworks/bin/python -m tests.studies.frameworks --planted
	$(ONE) .venv-frameworks/bin/python -m tests.studies.frameworks --record

.venv-frameworks/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-frameworks
	.venv-frameworks/bin/python -m pip install -q --upgrade 'pip>=25.1'
	.venv-frameworks/bin/python -m pip install -q keras tensorflow-cpu flax jax
	.venv-frameworks/bin/python -m pip install -q -c constraints.txt -e '.[torch]'
	touch $@

networks: $(READY)  ## right networks of random layers, trained beside torch; and one slip in each
	$(ONE) $(BIN)/python -m tests.studies.networks

runs: $(READY)  ## everything, run after run, each with a fresh seed: no false alarm (4: too little was seen)
	for run in $$(seq $(RUNS)); do \
		$(ONE) $(BIN)/npnet verify --profile nightly --examples $(EXAMPLES) -j $(JOBS) -q; code=$$?; \
		echo "run $$run: exit $$code"; [ $$code = 0 ] || [ $$code = 4 ] || exit $$code; \
	done

sample: $(READY)  ## the published run in reports/sample/
	$(ONE) $(BIN)/python -m tests.studies.sample

soak: $(READY)  ## correct implementations only: no false alarm in N examples
	$(ONE) $(BIN)/python -m tests.studies.soak --examples $(N)

bench: $(READY)  ## examples per second beside gradcheck, start-up times; training steps beside torch's
	$(ONE) $(BIN)/python -m tests.studies.bench
	$(ONE) $(BIN)/python -m tests.studies.steps

speed: $(READY)  ## npnet's layers and optimizers beside torch's, one thread against one thread
	$(ONE) $(BIN)/python -m tests.studies.speed

training: $(READY)  ## networks trained in npnet and in torch from the same state: accuracies, losses
	$(ONE) $(BIN)/python -m tests.studies.training

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install -q -c constraints.txt --group dev -e '.[torch,train,docs]'
	touch $@

clean:
	rm -rf .venv .venv-recorded .venv-frameworks build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
