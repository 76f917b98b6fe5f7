"""The architecture, held by tests: imports point one way, and every adapter comes with what it needs."""

import ast
import re
from pathlib import Path

import pytest

from postbacks import networks
from tests import samples
from trackly.retries import INBOUND
from webhooks import providers

ROOT = Path(__file__).resolve().parent.parent
# A module may import from its own level and from those before it; the longest matching prefix decides.
LEVELS = [
    ["trackly"],
    # Pure: no tables. Adapters, their vocabulary, and the readings they share.
    [
        "webhooks.statuses",
        "webhooks.orders",
        "webhooks.keywords",
        "webhooks.providers",
        "postbacks.verdicts",
        "postbacks.networks",
        "postbacks.parameters",
        "postbacks.money",
        "postbacks.bots",
        "postbacks.building",
        "postbacks.linting",
    ],
    ["webhooks.outbound"],
    ["sendinglists"],
    ["webhooks.inbound"],
    ["postbacks"],
]
# They may read everything, and nothing imports them.
ROOTS = ["trackly.urls", "trackly.settings", "trackly.checks", "trackly.wsgi", "trackly.management", "trackly.support",
         "trackly.api", "trackly.pages", "trackly.doctor", "trackly.demo", "trackly.admin",
         *(f"trackly.stories.{path.stem}" for path in (ROOT / "trackly/stories").glob("[!_]*.py")),
         "sendinglists.admin", "webhooks.inbound.admin",
         "postbacks.admin", "webhooks.models", "webhooks.admin", "webhooks.urls", "webhooks.apps"]  # fmt: skip
SOURCES = [
    path
    for package in ("trackly", "webhooks", "sendinglists", "postbacks")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def level_of(module: str) -> int:
    found = [
        (len(prefix), level)
        for level, prefixes in enumerate(LEVELS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(found)[1] if found else 0


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in {"trackly", "webhooks", "sendinglists", "postbacks"}}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_imports_point_one_way(path: Path) -> None:
    module = module_of(path)
    if any(module == root or module.startswith(root + ".") for root in ROOTS):
        return
    upward = {name for name in imports_of(path) if level_of(name) > level_of(module)}
    assert not upward, f"{module} may not import {upward}"


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if module_of(path).startswith(("trackly.pages", "trackly.stories", "trackly.templatetags.pages"))
    ],
    ids=module_of,
)
def test_what_an_accounts_people_see_needs_no_code_of_the_staff(path: Path) -> None:
    assert not {name for name in imports_of(path) if name.startswith(("trackly.support", "trackly.admin"))}


@pytest.mark.parametrize("path", [path for path in SOURCES if level_of(module_of(path)) == 1], ids=module_of)
def test_adapters_are_pure(path: Path) -> None:
    forbidden = {
        "django.db.models",
        "django.conf",
        "django.utils",
        "logging",
        "socket",
        "time",
        "random",
        "secrets",
        "os",
    }
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] != ["TextChoices"]:
            names.add(node.module or "")
    assert not names & forbidden
    assert "datetime.now" not in path.read_text()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_every_module_says_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or path.name == "__init__.py" or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_no_module_is_longer_than_a_reading(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize(("kind", "slug"), [
    *(("webhooks", slug) for slug in providers.all_providers()), *(("postbacks", slug) for slug in networks.all_networks()),
])  # fmt: skip
def test_every_adapter_has_name_docs_samples_and_test(kind: str, slug: str) -> None:
    adapter = (providers if kind == "webhooks" else networks).get(slug)
    assert adapter is not None
    assert adapter.name
    assert adapter.docs.startswith("https://") or slug == "sandbox"
    package = "providers" if kind == "webhooks" else "networks"
    assert list((ROOT / "tests/samples" / kind / slug).glob("*.http"))
    assert (ROOT / "tests" / kind / package / f"test_{slug}.py").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_nothing_else_names_a_vendor(path: Path) -> None:
    """A new vendor is one file: no other code lists them. (Words in docstrings and comments are free.)"""
    if path.parent.name in ("providers", "networks") or path.parent.name == "commands":
        return
    slugs = {*providers.all_providers(), *networks.all_networks()} - {"sandbox"}
    named = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in slugs
    }
    assert not named


def test_every_environment_variable_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    code = "".join(path.read_text() for path in SOURCES)
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', code)) | set(re.findall(r'os\.environ\.get\("([A-Z_]+)"', code))
    missing = {name for name in names - {"DJANGO_SETTINGS_MODULE"} if f"`{name}`" not in readme}
    assert not missing


def test_the_readme_states_the_retry_schedule_of_the_code() -> None:
    minutes = [int(wait.total_seconds() // 60) for wait in INBOUND]
    assert ", ".join(f"+{n}" for n in minutes) in (ROOT / "README.md").read_text()


def test_samples_are_never_reformatted() -> None:
    assert "*.http -text" in (ROOT / ".gitattributes").read_text()
    assert samples.names("infobip")
