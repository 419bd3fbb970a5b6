# Two commands: `make demo`, `make test`. Each does its own set-up on a fresh Debian machine.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
export PYTHONDONTWRITEBYTECODE ?=
ROOMS := dpdk_py stack fix ipc feed gateway

.PHONY: demo test build lint bench mutants test-debug packetdrill damage fuzz soak soak-acceptance soak-kill soak-ipc soak-strategies soak-determinism clean help
help:
	@sed -n 's/^## //p' Makefile

# .venv with every tool; made again when the dependencies change
.venv/.ready: pyproject.toml .ci/setup
	@PYTHON=$(PYTHON) .ci/setup
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); o = p["project"]["optional-dependencies"]; \
	  print(*p["build-system"]["requires"], *p["project"]["dependencies"], *o["test"], *o["lint"], sep="\n")' > .venv/needs.txt
	@$(PY) -m pip install -qq --disable-pip-version-check -r .venv/needs.txt
	@for extra in numba quickfix-tls iceoryx2; do $(PY) -m pip install -qq --disable-pip-version-check $$extra || \
	  echo "setup: $$extra could not be installed, what needs it is skipped"; done
	@touch $@

# the command and the metadata; the modules are built in place by `build`
.venv/.installed: .venv/.ready
	@FIXWIRE_METADATA=1 $(PY) -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --config-settings editable_mode=compat -e .
	@touch $@

## make build         everything in .venv, extension modules in place (FIXWIRE_WITH_DPDK=auto|0|1, FIXWIRE_DEBUG=1)
build: .venv/.installed
	@mkdir -p build
	@$(PY) setup.py -q build_ext --inplace > build/log 2>&1 || { cat build/log; exit 1; }
	@! grep -E 'performance hint|circumvents GIL' build/log

## make demo          a simulated exchange and the gateway over a pair; latency per stage
demo: build
	.venv/bin/fixwire demo

## make test          the whole suite
test: build lint
	$(PY) -m pytest -q --durations=20 --durations-min=3

## make test-debug    the suite under ASan, UBSan and FIXWIRE_DEBUG=1, in a tree of its own (build/debug); ARGS= for pytest
test-debug: .venv/.installed
	$(PY) tests/sanitized.py $(ARGS)

## make lint          ruff, cython-lint, mypy --strict on packages and examples, stubtest of every stub
lint: build
	$(PY) -m ruff check -q .
	PATH="$(CURDIR)/.venv/bin:$$PATH" cython-lint --no-pycodestyle --max-line-length 125 $(ROOMS)
	$(PY) -m mypy --no-error-summary $(ROOMS)
	$(PY) -m mypy --no-error-summary examples
	@dpdk_py=$$(ls dpdk_py/port.*.so 2>/dev/null) || echo "lint: no libdpdk, the stubs of dpdk_py are not compared"; \
	  $(PY) -m mypy.stubtest --concise --allowlist tests/stubtest_allowlist.txt $(filter-out dpdk_py,$(ROOMS)) $${dpdk_py:+dpdk_py}

## make bench         every benchmark, one table each
bench: build
	@for f in bench/*.py; do echo "== $$f"; $(PY) $$f || exit 1; done

## make packetdrill  DIR=... PROFILE=linux|freebsd: outside scripts (or our own) through the player
packetdrill: build
	$(PY) -m tests.packetdrill $(or $(DIR),tests/packetdrill/scripts) $(if $(PROFILE),--profile $(PROFILE))

## make damage       N=100 MB each way with real peers over a wire that damages frames (CELLS="cubic/* bbr/loss5")
damage: build
	@$(PY) -m tests.damage --mb $(or $(N),100) $(CELLS)

## make fuzz          TARGET=frames|options|reassembly|parse|session|capture|ipc SECONDS=60: libFuzzer; without TARGET each; PLANT=1 must fail
fuzz: .venv/.ready
	@for t in $(or $(TARGET),frames options reassembly parse session capture ipc); do \
	  $(PY) -m tests.fuzz $$t --seconds $(or $(SECONDS),60) $(if $(PLANT),--plant) || exit 1; done

## make soak          SEEDS=10000 simulated worlds of TCP and of FIX, 10^7 mutated frames, 10^6 blind segments and mutated messages
soak: build
	$(PY) -m tests.soak --seeds $(or $(SEEDS),10000)
	PYTHONPATH=. $(PY) tests/lasting_damage.py $(or $(SEEDS),10000)
	FIXWIRE_FUZZ=10000000 FIXWIRE_BLIND=1000000 $(PY) -m pytest -q tests/test_tcp_fuzz.py tests/test_tcp_attack.py
	FIXWIRE_SEEDS=$(or $(SEEDS),10000) $(PY) -m pytest -q -s tests/test_fix_session_simulation.py tests/test_fix_tcp_simulation.py
	$(PY) -m tests.determinism --runs 1000
	FIXWIRE_MUTATIONS=1000000 $(PY) -m pytest -q tests/test_fix_parse.py

## make soak-determinism  N=1000 fresh processes of one seed: the same transmit capture each, over pair and pcap
soak-determinism: build
	$(PY) -m tests.determinism --runs $(or $(N),1000)

## make soak-acceptance  QuickFIX's acceptance definitions, three times over kernel sockets and over our stack (DIR=folder)
soak-acceptance: build
	for i in 1 2 3; do $(if $(DIR),FIXWIRE_DEFINITIONS=$(abspath $(DIR))) $(PY) -m pytest -q tests/test_fix_acceptance.py || exit 1; done

## make soak-kill     N=1000 kill -9 of the gateway under traffic, each named point of death N/50 times; N/10 against QuickFIX
soak-kill: build
	$(PY) -m tests.crash --kills $(or $(N),1000)

## make soak-strategies  N=100 kill -9 of a strategy in a process of its own, under traffic; the other's round trip, beside what a stranger's death costs it
soak-strategies: build
	$(PY) -m tests.killed_strategies --kills $(or $(N),100)

## make soak-ipc      rings: N kills a side (10000), BROADCAST=10^9 messages, deaths and stops in every state of every operation
soak-ipc: build
	FIXWIRE_KILLS=$(or $(N),10000) FIXWIRE_BROADCAST_MESSAGES=$(or $(BROADCAST),1000000000) FIXWIRE_STEPS=all $(PY) -m pytest -v -rP \
	  --durations=0 tests/test_ipc_channel.py tests/test_ipc_mpsc.py tests/test_ipc_broadcast.py tests/test_ipc_stepped.py

## make mutants       each one-line fault of tests/mutants in a copy: which test kills it (ONLY=pattern, RESUME=file to go on)
mutants: build
	$(PY) tests/mutants/run.py $(if $(RESUME),--resume $(RESUME)) $(ONLY)

clean:
	rm -rf build dist *.egg-info .venv
	find $(ROOMS) \( -name '*.so' -o -name '__pycache__' \) -prune -exec rm -rf {} +
