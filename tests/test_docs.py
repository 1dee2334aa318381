# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What README and docs show is executed; links lead somewhere; examples run.

A block of ``sh`` or ``python`` runs as it stands, those of a page in order, Python's in one namespace. A comment before a block
says otherwise: ``<!-- long -->``, or ``<!-- long, with the model -->``, leaves it to `make test-long`; of ``<!-- not run: WHY
-->`` the commands are parsed alone; ``<!-- exit: N -->`` is the exit code that it must have. Of `make`'s targets it is shown
that they exist (`make -n`); they are run elsewhere.
A block of ``text`` behind one that runs must be among what that printed.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from subbyte import cli
from subbyte.weights.smollm2 import ModelUnavailable, fetch_model

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")])
_FENCE = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<kind>\w*|\{[\w-]+\}[^\n]*)\n(?P<text>.*?)^```$",
                    re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of a page: ``mark`` is the comment before it, ``printed`` the block of text behind it."""

    page: Path
    line: int
    kind: str
    text: str
    mark: str
    printed: str

    @property
    def is_long(self):
        return self.mark.startswith("long")

    @property
    def is_run(self):
        return not self.mark.startswith("not run")

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks():
    """Every block of every page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        fences = list(_FENCE.finditer(text))
        for fence, behind in zip(fences, [*fences[1:], None]):
            follows = behind is not None and behind["kind"] == "text" and not text[fence.end():behind.start()].strip()
            found.append(Block(page, text[:fence.start()].count("\n") + 1, fence["kind"], fence["text"], fence["mark"] or "",
                               behind["text"] if follows else ""))
    return found


BLOCKS = blocks()
RUN = [block for block in BLOCKS if block.kind in ("sh", "python") and block.is_run]


def commands(block):
    """Lines of a block of commands, without comments; those that a backslash continues joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"\s+#.*", "", line).strip() for line in lines) if line and not line.startswith("#")]


def execute(page, wanted):
    """Run what is wanted of a page's blocks, in their order; returns what went wrong, a line a block."""
    namespace, problems = {}, []
    for block in RUN:
        if block.page != page or not wanted(block):
            continue
        if block.kind == "python":
            exec(compile(block.text, str(block), "exec"), namespace)
            continue
        status, printed = 0, ""
        for command in commands(block):
            here = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
            if here.startswith("subbyte "):
                here = f"{Path(sys.executable).parent}/{here}"
            if command.startswith("make "):
                here = f"make -n {here.removeprefix('make ')}"
            done = subprocess.run(here, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=900)
            status, printed = done.returncode, printed + done.stdout + done.stderr
        expected = int(block.mark.removeprefix("exit: ")) if block.mark.startswith("exit: ") else 0
        if status != expected:
            problems.append(f"{block}: must end with {expected}, not {status}: {printed}")
        elif block.printed.strip() not in printed:
            problems.append(f"{block}: must print {block.printed!r}, not {printed!r}")
    return problems


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.page == page and not block.is_long for block in RUN)],
                         ids=lambda page: page.name)
def test_blocks(page):
    assert execute(page, lambda block: not block.is_long) == []


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.page == page and block.is_long for block in RUN)],
                         ids=lambda page: page.name)
def test_long_blocks(page):
    if any("model" in block.mark for block in RUN if block.page == page):
        try:
            fetch_model(ROOT / "build" / "model")
        except ModelUnavailable as error:
            pytest.skip(f"the model cannot be fetched: {error}")
    assert execute(page, lambda block: block.is_long) == []


def test_a_wrong_block_is_found(tmp_path):
    bad = Block(ROOT / "README.md", 1, "sh", "subbyte verilog rsr --set lanes=0\n", "", "")
    RUN.append(bad)
    try:
        (problem,) = execute(bad.page, lambda block: block is bad)
        assert "must end with 0, not 2" in problem
    finally:
        RUN.remove(bad)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "sh" and not block.is_run], ids=str)
def test_commands_that_are_not_run_are_none_the_less_understood(block):
    for command in commands(block):
        program, *arguments = shlex.split(command)
        if program == "make":
            subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
        else:
            assert Path(program).name == "subbyte", command
            cli.main.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def test_every_block_has_a_kind():
    assert not [str(block) for block in BLOCKS if not block.kind]


def slug(heading):
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for match in _LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page.name}: no heading for {target}"


def output_of(*arguments):
    """What a Python program of the repository prints."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_five_engines(tmp_path):
    plot = tmp_path / "engines.svg"
    printed = output_of("examples/five_engines.py", "--plot", plot)
    rows = [line.split("|")[1:-1] for line in printed.splitlines()[2:]]
    assert len({row[0] for row in rows}) == 5 and all(float(row[2]) < 9 for row in rows) and plot.stat().st_size > 5000


def test_own_data_type():
    printed = output_of("examples/own_data_type.py", "--no-area", "--own", "7,-7,16,-16")
    found = {row[1].strip(): float(row[3].strip(" %")) for row in (line.split("|") for line in printed.splitlines()[2:])}
    assert found["published"] < found["none"] and "own" in found


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_plain_verilog_bench_can_fail(tmp_path):
    subprocess.run([sys.executable, "examples/plain_verilog/run.py", "-o", tmp_path], cwd=ROOT, check=True)
    beats = (tmp_path / "outputs.hex").read_text()
    (tmp_path / "outputs.hex").write_text(beats.replace(beats[18], "0" if beats[18] != "0" else "1", 1))
    printed = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert "FAIL" in printed and "PASS" not in printed
