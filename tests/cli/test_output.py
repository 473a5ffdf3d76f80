"""What all commands share in how they speak."""

import json
from io import StringIO

import pytest
from rich.console import Console

from vla_embeddings.cli import output
from vla_embeddings.cli.output import print_json, progress_bars


def test_what_json_has_no_form_for_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"ids": (float("nan"), [float("-inf")], 1.5, None, b"a", "ключ")})

    printed = capsys.readouterr().out
    assert printed.isascii()
    document = json.loads(printed, parse_constant=pytest.fail)
    assert document == {"ids": ["nan", ["-inf"], 1.5, None, "b'a'", "ключ"]}


def test_square_brackets_in_a_task_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr(output, "stderr", Console(file=shown, force_terminal=True))

    with progress_bars() as bars:
        bars.add_task("robots[/x]")

    assert "robots[/x]" in shown.getvalue()
