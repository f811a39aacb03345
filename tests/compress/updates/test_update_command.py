from __future__ import annotations

import json

import pytest

from tritforge.cli.main import run
from tritforge.network.file import load_network
from tritforge.overlay.trit_words import trit_words
from tritforge.patches.patch import apply_to_network


def test_a_partial_update_obeys_a_budget_of_words(tmp_path, trained, capsys):
    network, patch, result = trained / "net.safetensors", tmp_path / "p.patch", tmp_path / "r.json"
    arguments = ["update", str(network), "--checkpoint", str(trained / "run"), "-o", str(patch), "--words", "40"]
    assert run([*arguments, "--json", str(result)]) == 0
    base = load_network(network)
    updated, words = apply_to_network(base, patch.read_bytes()), trit_words(base)
    touched = set()
    for old, new in zip(base.ternary_layers(), updated.ternary_layers(), strict=True):
        touched |= set(words[old.name][old.weights != new.weights].tolist())
    assert 0 < len(touched) <= 40
    metrics = json.loads(result.read_text())["metrics"]
    assert metrics["budget"] == {"unit": "words", "limit": 40, "used": len(touched)}
    assert metrics["changed_trits"] > len(touched)
    assert f"{len(touched)} of 40 words used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ratio", "0.1", "--words", "5"], "--ratio, --words are given together; an update has one budget"),
        (["--words", "5", "--bytes", "300"], "--words, --bytes are given together; an update has one budget"),
        (["--words", "0"], "the budget is 0 words; it must be a whole number from 1"),
        (["--bytes", "100"], "the header of a patch alone takes 124"),
        (["--ratio", "0"], "the updating ratio is 0.0; it must be above 0 and at most 1"),
        (["--policy", "none such"], "there is no update policy 'none such'; there are partial, full"),
        (["--policy", "full", "--words", "5"], "the update has a budget of words; its policy goes by no budget"),
    ],
)
def test_a_wrong_budget_is_one_sentence(tmp_path, trained, options, sentence, capsys):
    patch = tmp_path / "p"
    network = str(trained / "net.safetensors")
    assert run(["update", network, "--checkpoint", str(trained / "run"), "-o", str(patch), *options]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert not patch.exists()
