"""What the documents say can be followed: links, commands, settings, steps of the protocol."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from docs import draw_choice, draw_house
from secure_gal.settings import party, study

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "tests" / "vectors")
    for path in folder.glob("*.md")
)
LINK = re.compile(r"(?<!`)\[[^\]`]*(?:`[^`]*`[^\]`]*)*\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=names)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=names)
def test_commands_that_documents_name_are_there(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ((?:demo|test|lint|clean|mutants|campaign|pages)[a-z-]*)", text)) <= targets
    for module in re.findall(r"python -m\s((?:benchmarks|docs|parties)\.[a-z_]+)", text):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 900


@pytest.mark.parametrize(
    "kind",
    [
        study.Study,
        study.Protect,
        party.PartySettings,
        party.DataSettings,
        party.LearnerSettings,
        party.AuditSettings,
        party.ReportSettings,
    ],
)
def test_the_guide_names_every_setting(kind: type[msgspec.Struct]) -> None:
    tables = "\n".join(line for line in (ROOT / "docs" / "GUIDE.md").read_text().splitlines() if line.startswith("|"))
    said = {word for quoted in re.findall(r"`([^`]+)`", tables) for word in re.findall(r"[a-z_]+", quoted)}
    assert set(kind.__struct_fields__) <= said


def test_the_picture_is_what_its_boxes_say_and_they_name_files() -> None:
    assert draw_house.FILE.read_text() == draw_house.svg()
    for box in draw_house.BOXES:
        assert all((ROOT / where).exists() for where in box.where), box


def test_the_picture_of_protections_shows_settings_that_are_there() -> None:
    assert draw_choice.FILE.read_text() == draw_choice.svg()
    for question in draw_choice.QUESTIONS:
        (field,) = {answer.setting.split(" = ")[0] for answer in question.answers}
        kinds = get_args(get_type_hints(study.Protect)[field])
        values = [answer.setting.split('"')[1] for answer in question.answers]
        assert len(set(values)) == len(values) and set(values) <= set(kinds), field


@pytest.mark.parametrize("name", ["architecture.md", "GUIDE.md"])
def test_files_that_documents_name_are_there(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    for where in re.findall(r"`((?:secure_gal|crypto|transport|parties|tests|benchmarks|examples)/[\w/.-]*)`", text):
        assert (ROOT / where).exists(), where


CITED = re.compile(r"\b[Ss]teps? (\d+[a-z]?(?:(?:, | to | and )\d+[a-z]?)*)")
SECTION = re.compile(r'PROTOCOL\.md, "([^"]+)"')
PROTOCOL = (ROOT / "docs" / "PROTOCOL.md").read_text()


def cited(text: str) -> list[str]:
    """The steps that code cites; those of the paper have letters alone."""
    return [step for found in CITED.findall(text) for step in re.findall(r"\d+[a-z]?", found)]


def test_what_counts_as_a_citation() -> None:
    assert cited("(PROTOCOL.md steps 8a to 9).") == ["8a", "9"]
    assert cited("    # steps 5 and 6: rows\n(GAL, step c), 3 steps") == ["5", "6"]
    assert cited("Steps 6b, 6c, 12a, 12c; 4 others, step 13") == ["6b", "6c", "12a", "12c", "13"]


def test_steps_of_the_protocol_that_code_cites_are_there() -> None:
    """`Steps 9e to 9g` stood in the code: 9e is a certificate's, and there was no 9g."""
    rows = set(re.findall(r"^\| (\d+[a-z]?) \|", PROTOCOL, flags=re.MULTILINE))
    steps = rows | set(re.findall(r"^Step (\d+[a-z]?) ", PROTOCOL, flags=re.MULTILINE))
    places = [path for folder in ("secure_gal", "transport", "parties") for path in (ROOT / folder).rglob("*.py")]
    found = {path: cited(path.read_text()) for path in places}
    assert sum(map(len, found.values())) > 50
    for path, numbers in found.items():
        assert set(numbers) <= steps, f"{path} cites {sorted(set(numbers) - steps)}"


def test_sections_of_the_protocol_that_code_cites_are_there() -> None:
    sections = re.findall(r"^#+ (.+)$", PROTOCOL, flags=re.MULTILINE)
    for folder in ("secure_gal", "crypto", "transport", "parties", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in SECTION.findall(path.read_text()):
                assert any(section.startswith(name) for section in sections), f"{path}: {name}"


DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_when_what_else_and_at_what_cost(path: Path) -> None:
    title, *lines = path.read_text().splitlines()
    head = [line.split("|")[1].strip() for line in lines[:5]]
    assert title.startswith(f"# {int(path.name[:4])}. ")
    assert [name for name in head if name != "---"] == ["status", "date", "options considered", "costs"]
    assert all(len(line.split("|")[2].strip()) > 2 for line in lines[:5])


def test_the_index_of_decisions_is_complete_and_explains_its_gaps() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert re.findall(r"\]\((0\d{3}-[\w-]+\.md)\)", index) == [path.name for path in DECISIONS]
    numbers = {int(path.name[:4]) for path in DECISIONS}
    (unused,) = re.findall(r"^Numbers (.+) were never used", index, flags=re.MULTILINE)
    assert {int(found) for found in re.findall(r"\d+", unused)} == set(range(1, max(numbers))) - numbers


def test_hooks_are_named_by_the_versions_that_are_pinned() -> None:
    pinned = dict(re.findall(r"^(ruff|mypy)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
    hooks = re.findall(r"name: (ruff|mypy)(?: format)? (\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert len(hooks) == 3 and all(pinned[name] == version for name, version in hooks)
