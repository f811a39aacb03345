"""An update is prepared once: what is hashed, checked and lowered on the way from a patch to a stored network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS, other_network, some_network

from tritforge.device import accelerator as accelerator_module
from tritforge.device.entries import plan_words, words_of
from tritforge.device.journal import Journal
from tritforge.device.reference_device import reference_accelerator
from tritforge.device.update import prepare_update
from tritforge.errors import PatchError
from tritforge.network import digest as digest_module
from tritforge.network import network as network_module
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.spaces import SPACES
from tritforge.patches.patch import diff


def small(network: Network) -> OverlayProgram:
    return lower(network, PARAMETERS)


def networks(seed: int = 0, ratio: float = 0.1) -> tuple[Network, Network]:
    rng = np.random.default_rng(seed)
    base = some_network(rng)
    return base, other_network(rng, base, ratio)


def test_the_plan_is_every_differing_word_in_order() -> None:
    old, new = (small(network) for network in networks())
    plan = plan_words(old, new)
    rows = [(SPACES[row["space"]], int(row["address"]), int(row["word"])) for row in plan]
    assert rows == [
        (space, address, int(new.images[space][address]))
        for space in SPACES
        for address in range(old.images[space].size)
        if old.images[space][address] != new.images[space][address]
    ]
    assert {space for space, _, _ in rows} == {"weights", "affine"}
    assert words_of(new, plan).tolist() == plan["word"].tolist()
    assert not np.any(words_of(old, plan) == plan["word"])
    assert plan_words(old, old).size == 0


def test_programs_of_another_size_have_no_plan() -> None:
    old = small(networks()[0])
    longer = old.images | {"bitmaps": np.append(old.images["bitmaps"], np.uint64(0))}
    new = OverlayProgram(PARAMETERS, "", longer, old.layer_names, old.input_shape, old.classes)
    size = old.images["bitmaps"].size
    with pytest.raises(PatchError, match=f"bitmaps: the patched network takes {size + 1} words, the loaded one {size}"):
        plan_words(old, new)


def test_an_update_is_what_the_patch_says() -> None:
    base, new = networks()
    patch = diff(base, new, version=3)
    update = prepare_update(base, patch, small)
    assert update.version == 3 and update.patch == patch and update.base is base
    assert network_digest(update.result) == network_digest(new)
    assert np.array_equal(update.entries, plan_words(small(base), small(new)))
    with pytest.raises(PatchError, match="made for network"):
        prepare_update(new, patch, small)


def test_each_network_is_hashed_checked_and_lowered_at_most_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the files of a network and a patch over the accelerator to the stored network that follows."""
    base, new = networks()
    patch = diff(base, new, version=1)
    folder = tmp_path / "journal"
    Journal(folder).store(base)
    accelerator = reference_accelerator(PARAMETERS)
    counts: Counter[str] = Counter()

    def counted(owner: Any, name: str, what: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def run(*arguments: Any, **named: Any) -> Any:
            counts[what] += 1
            return function(*arguments, **named)

        monkeypatch.setattr(owner, name, run)

    counted(digest_module, "_digest", "digests")
    counted(network_module, "_check_network", "whole checks")
    counted(accelerator_module, "lower", "lowerings")
    journal = Journal(folder)
    held = journal.recover().network
    accelerator.load(held, version=0)
    assert counts == {"digests": 1, "whole checks": 1, "lowerings": 1}
    update = accelerator.prepare(held, patch)
    journal.update(update, lambda: accelerator.apply(update))
    assert counts == {"digests": 2, "whole checks": 2, "lowerings": 2}
    assert network_digest(Journal(folder).recover().network) == network_digest(new)
