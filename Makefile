# `make demo` and `make test` are all a newcomer needs. Both install into .venv first.
PYTHON ?= python3
BIN := .venv/bin
NATIVE := CMakeLists.txt pyproject.toml $(shell find csrc -type f)

# The versions that exports are compared with; another torch may order a graph's nodes otherwise.
EXTRAS := plot,bench,dev,train,rtx,openvino,dali
PINS := torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2

.PHONY: help demo test extras lint format bench gpu gpu-tensorrt clean

help:
	@echo "make demo    a flickering film, restored: pictures and plots in demo/"
	@echo "make test    the test suite"
	@echo "make extras  what the tests of networks, TensorRT-RTX, OpenVINO and DALI need (1.5 GB); without it they are skipped"
	@echo "make lint    ruff, mypy, import-linter, clang-format"
	@echo "make format  apply ruff and clang-format"
	@echo "make bench   the short benchmarks of this machine"
	@echo "make gpu     on a machine with a GPU: build for it, test it, measure it; needs no network"
	@echo "make gpu-tensorrt  there, with TensorRT or TensorRT-RTX installed: every network built, compared, measured"

$(BIN)/python:
	$(PYTHON) -m venv .venv

# One stamp for each set of extras; a change to the native sources installs again.
.venv/.demo: $(BIN)/python $(NATIVE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot]'
	@touch $@

.venv/.dev: $(BIN)/python $(NATIVE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[plot,bench,dev]'
	@touch $@ .venv/.demo

.venv/.extras: $(BIN)/python $(NATIVE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]' $(PINS)
	@touch $@ .venv/.dev .venv/.demo

extras: .venv/.extras

demo: .venv/.demo
	$(BIN)/reelmend demo --output demo

test: .venv/.dev
	$(BIN)/python -m pytest

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run --Werror $$(find csrc -type f)

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(find csrc -type f)

bench: .venv/.dev
	$(BIN)/reelmend bench

# Asks no package index: WHEELS= names a folder of what PYTHON lacks. OUT= names the folder for the result.
gpu:
	$(PYTHON) benchmarks/gpu_build.py $(if $(WHEELS),--wheels '$(WHEELS)') benchmarks/gpu.py --out '$(OUT)'

gpu-tensorrt:
	$(PYTHON) benchmarks/gpu_build.py $(if $(WHEELS),--wheels '$(WHEELS)') benchmarks/gpu_tensorrt.py --out '$(OUT)'

clean:
	rm -rf build demo .venv
