# Everything a person needs, as root, from a fresh clone: `make demo`, then `make test`.

BIN := .venv/bin

.PHONY: help demo install uninstall install-systemd uninstall-systemd test test-fresh test-vagrant test-guest lint docs
.PHONY: bench clean test-guest-systemd

help:
	@echo "make demo      see a container come to life, step by step (does its own set-up)"
	@echo "make test      the whole test suite (does its own set-up)"
	@echo "make install   minidock, minidockd, minidock-runtime, minidock-registry and minidock-tiny in /usr/local/bin"
	@echo "make test-guest  the part of the suite about cgroups, in a virtual machine with pure cgroup v2"
	@echo "make test-guest-systemd  restarts of the daemon and of the machine, in a virtual machine with systemd"
	@echo "make test-fresh  the first steps of README.md, tried on machines that have nothing: Debian 12 and 13"
	@echo "make test-vagrant  vagrant/ from up to destroy, with a box of Debian's packages and an emulated processor"
	@echo "make lint      mypy --strict, ruff, import-linter"
	@echo "make docs      the book, in docs/_build/html"
	@echo "make bench     side by side with Docker, runc and their kin"
	@echo "make clean     remove what the above made in this folder"

demo:
	@.ci/setup run
	@$(BIN)/python -m chapters.demo

install:
	@.ci/setup install

# A machine with systemd: the daemon as a service, on a socket that is there before it.
UNITS := minidockd.service minidockd.socket

install-systemd:
	test -x /usr/local/bin/minidockd || $(MAKE) install
	groupadd --force --system minidock
	install -m 644 -t /etc/systemd/system $(addprefix packaging/systemd/,$(UNITS))
	systemctl daemon-reload
	systemctl enable --now minidockd.socket minidockd.service

# Containers that run are not ended: minidock rm -f them before.
uninstall-systemd:
	-systemctl disable --now $(UNITS)
	rm -f $(addprefix /etc/systemd/system/,$(UNITS))
	systemctl daemon-reload

uninstall:
	@[ ! -S /run/minidock.sock ] || minidock system stop
	rm -rf /opt/minidock
	rm -f $(foreach tool,minidock minidockd minidock-runtime minidock-registry minidock-tiny,/usr/local/bin/$(tool))

test:
	@.ci/setup test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What the guest adds: the same test files as on this machine, on another kind of cgroups.
GUEST_OPTIONS := test_limits_reach_the_kernel test_what_the_kernel_lacks_is_left_out_with_a_warning
GUEST_TESTS ?= tests/kernel/test_cgroups.py tests/kernel/test_cgroups_v2.py tests/engine/test_limits.py tests/engine/test_stats.py \
	tests/engine/test_runtimes.py tests/kernel/test_runtime.py tests/kernel/test_runtime_command.py \
	$(addprefix tests/engine/test_create_options.py::,$(GUEST_OPTIONS)) \
	tests/faults/test_daemon_surroundings.py::test_without_delegation_limits_are_left_out_and_told \
	tests/kernel/test_networks.py::test_a_neighbour_in_the_hosts_own_network

test-guest:
	@.ci/setup guest
	$(BIN)/python -m tests.guest $(GUEST_TESTS)

test-guest-systemd:
	@.ci/setup guest
	$(BIN)/python -m tests.guest --systemd

FRESH ?= tests/fresh

test-fresh:
	@.ci/setup fresh
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(FRESH)

test-vagrant:
	@.ci/setup vagrant
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/vagrant

lint:
	@.ci/setup lint
	$(BIN)/ruff check minidock chapters tests docs
	$(BIN)/ruff format --check minidock chapters tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports

docs:
	@.ci/setup docs
	$(BIN)/python -m sphinx -j auto -W -n --keep-going -q -b html docs docs/_build/html
	@echo "the book is in docs/_build/html/index.html"

bench:
	@.ci/setup test
	$(BIN)/python -m tests.benchmarks $(ONLY)

clean:
	rm -rf .venv .make build dist docs/_build docs/source *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
