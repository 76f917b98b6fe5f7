# Two commands: `make run` and `make test`. Everything they need is made in .venv and var/; browser tests need Chromium.
PYTHON ?= python3
VENV := .venv/bin/python

.PHONY: run test demo lint bench screenshots chromium

run: .venv/run
	@# exec: a signal to make's child must reach the service and not a shell that dies before it.
	@SANDBOX_ENABLED=$${SANDBOX_ENABLED:-true} exec $(VENV) manage.py up

demo: .venv/run
	$(VENV) manage.py demo

# What watches time, kills processes or drives a browser runs alone; the rest on as many cores as there are.
test: .venv/dev chromium
	$(VENV) -m pytest -n auto --ignore=tests/faults --ignore=tests/browser
	$(VENV) -m pytest tests/faults tests/browser

# The README's pictures, made anew from the demo.
screenshots: .venv/dev chromium
	$(VENV) -m tests.browser.screenshots

# As root from Debian's packages; otherwise said, and the browser tests are skipped.
chromium:
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q chromium; } \
	  || echo "There is no Chromium, so browser tests are skipped: apt-get install chromium brings it."

# mypy's plugin reads the settings, which demand secrets; nothing is opened with these.
lint: export SECRET_KEY ?= lint
lint: export ENCRYPTION_KEYS ?= MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
lint: export DATABASE_URL ?= postgres://nobody@localhost/none
lint: .venv/dev
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy .

bench: .venv/run
	$(VENV) -m bench

# Debian's python3 comes without ensurepip: as root its package is installed, otherwise said.
.venv/run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3.11 make $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -y -q python3-venv; } \
	  || { echo "Python lacks its venv module: apt-get install python3-venv, then try again."; exit 1; }
	$(PYTHON) -m venv .venv
	$(VENV) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# The development tools are the dependency group "dev" of pyproject.toml; pip reads groups itself only since 25.1.
.venv/dev: .venv/run pyproject.toml
	$(VENV) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > .venv/dev.txt
	$(VENV) -m pip install --quiet --disable-pip-version-check -r .venv/dev.txt
	@touch $@
