# Each target first sets up what it needs in .venv. The machine needs Python 3.10 or newer, make, and a Python package index.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3.10 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo
# Tests run on every core, but at most four, one file per process at a time. `make test SPREAD=` runs them in one process.
SPREAD ?= -n auto --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-slow check format docs judge voice models clean
help:
	@echo "make demo       make a corpus, prepare it, score and rank seven models, write a report in $(OUT)/runs/"
	@echo "make test       run the fast tests"
	@echo "make test-slow  run every test; real clips come from TKBENCH_CLIPS or ../shared/clips, if they are there"
	@echo "make check      check style, types and leaderboards/ (ruff, mypy, tkbench); changes nothing"
	@echo "make format     format the code and fix what ruff can fix"
	@echo "make docs       build the documentation as a site in site/; its packages have an environment of their own"
	@echo "make judge      train the bundled judge again from its recipe"
	@echo "make voice      fit the bundled map of mouth and voice again from its recipe"
	@echo "make models     train the bundled expert, SyncTalkFace and CALS again from their recipes: about eight hours of a"
	@echo "                core (with a GPU: make models SECOND=gpu)"
	@echo "make clean      remove .venv, .venv-docs, site and $(OUT)"

$(VENV)/.installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "tkbench needs Python 3.10 or newer on the PATH (or PYTHON=/path/to/python); found: $$(python3 --version 2>&1)"; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON): once, a few minutes; most of it is torch."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile -q -e ".[synth,test]"
	@# Python keeps the bytecode of what it imports, so that the first command answers as fast as the next.
	@OMP_NUM_THREADS=1 $(BIN)/python -W ignore -c "from importlib import import_module as load; from pkgutil import walk_packages as walk; import tkbench; [load(found.name) for found in walk(tkbench.__path__, 'tkbench.') if not found.name.endswith('__main__')]; load('tkbench.audio').load_librosa()"
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile -q -e ".[synth,test,dev]"
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/tkbench demo --out $(OUT)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(SPREAD)

$(VENV)/.slow: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile -q -e ".[synth,test,test-slow]"
	@touch $@

test-slow: $(VENV)/.slow
	$(BIN)/python -m pytest --slow $(SPREAD)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/tkbench leaderboard check leaderboards

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The packages of the extra `docs` alone, without tkbench: half a minute instead of torch.
DOCS := $(shell sed -n 's/^docs = \[\(.*\)\]$$/\1/p' pyproject.toml | tr -d ,)
$(VENV)-docs/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --disable-pip-version-check --progress-bar off -q $(DOCS)
	@touch $@

docs: $(VENV)-docs/.installed
	@NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --quiet
	@echo "site/index.html"

judge: $(VENV)/.installed
	$(BIN)/tkbench prep synth --out judge/corpus --clips 300 --speakers 60 --seed 100
	$(BIN)/tkbench prep folder --root judge/corpus --out judge/shards
	$(BIN)/tkbench train --model syncnet --data judge/shards --out judge/syncnet_synth.safetensors

voice: $(VENV)/.installed
	$(BIN)/tkbench prep synth --out voice/corpus --clips 200 --speakers 100 --seed 500
	$(BIN)/tkbench prep folder --root voice/corpus --out voice/shards
	$(BIN)/tkbench train --model voice --data voice/shards --out voice/voice_synth.safetensors

# The configuration of the second training of each: sharp, whose steps are small enough for a CPU, or gpu.
# About eight hours of one core: SyncTalkFace four and a half, CALS two, the expert and the corpus the rest.
# The cards beside the checkpoints say what each took. A run that was stopped goes on.
SECOND ?= sharp
TRAIN = $(BIN)/tkbench train --data models/shards --crops models/crops --expert models/expert_synth.safetensors
# One thread, as for the bundled checkpoints.
models: export OMP_NUM_THREADS = 1
models: $(VENV)/.installed
	$(BIN)/tkbench prep synth --out models/corpus --clips 480 --speakers 120 --seed 200
	$(BIN)/tkbench prep folder --root models/corpus --out models/shards
	$(BIN)/tkbench train --model expert --data models/shards --crops models/crops --out models/expert_synth.safetensors
	$(TRAIN) --model synctalkface --out models/synctalkface_base.safetensors
	$(TRAIN) --model synctalkface --config synctalkface-$(SECOND) \
		--from models/synctalkface_base.safetensors --out models/synctalkface_$(SECOND).safetensors
	$(TRAIN) --model synctalkface --config synctalkface-memory \
		--from models/synctalkface_$(SECOND).safetensors --out models/synctalkface_memory.safetensors
	$(TRAIN) --model synctalkface --config synctalkface-clean \
		--from models/synctalkface_memory.safetensors --out models/synctalkface_synth.safetensors
	$(TRAIN) --model cals --out models/cals_base.safetensors
	$(TRAIN) --model cals --config cals-$(SECOND) --painter models/synctalkface_synth.safetensors \
		--from models/cals_base.safetensors --out models/cals_$(SECOND).safetensors
	$(TRAIN) --model cals --config cals-clean \
		--from models/cals_$(SECOND).safetensors --out models/cals_synth.safetensors

clean:
	rm -rf $(VENV) $(VENV)-docs site $(OUT)
