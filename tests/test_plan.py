# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The performance model: cycles are `config.cycles`, bytes are those of operands in memory, shapes are the models'."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte.cli import main
from subbyte.explore import NAMED, Bound, Machine, cost_of, performance, shape_of
from subbyte.explore.performance import engine_cycles
from subbyte.golden.memory import MemoryLayout
from subbyte.schemes import engines, scheme

SMOLLM2 = NAMED["SmolLM2-135M"]


def machine_of(name, fmt=None, **options):
    one = scheme(name)
    fmt = fmt or one.formats[0]
    return Machine(one, fmt, one.config_of(fmt), **options)


@pytest.mark.parametrize("fmt", [(name, fmt) for name in engines() for fmt in scheme(name).formats[:3]], ids=" ".join)
def test_cycles_are_exact_however_many_tiles(fmt):
    machine = machine_of(*fmt)
    config = machine.config
    for k in (64, 576, 600):
        schedule = machine.tile(k).schedule
        rows, cols = config.rows, config.cols
        for m, n in ((1, 1), (1, 97 * cols), (3 * rows, 67 * cols + 1), (80 * rows + 1, 3 * cols)):
            assert engine_cycles(config, m, n, schedule) == config.cycles(m, n, k, schedule)


@pytest.mark.parametrize("name", engines())
def test_bytes_are_those_in_memory(name):
    machine, k = machine_of(name, bus_bytes=16), 96
    one, config = machine.scheme, machine.config
    m, n = config.rows + 1, 2 * config.cols + 1
    rng = np.random.default_rng(0)
    qweight = one.quantize(rng.standard_normal((n, k)).astype(np.float32), machine.fmt, config)
    x = one.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    product = one.product(x, qweight, config, **one.derived(x, qweight, config)[0])
    layout = MemoryLayout(config, 16)
    read, written = layout.traffic(layout.image(product.inputs, m, n))
    layer = SMOLLM2.layers[0].__class__("layer", n, k)
    shape = SMOLLM2.__class__(**{**vars(SMOLLM2), "layers": (layer,)})
    cost = cost_of(machine, shape, m).layers[0]
    if name != "tender":  # the beats of its groups follow the activations
        assert cost.bytes == read + written


def test_what_bounds_a_layer():
    fast, slow = (cost_of(machine_of("bitmod", bandwidth=bandwidth), SMOLLM2, 8) for bandwidth in (1e12, 1e9))
    assert {layer.bound for layer in fast.layers} <= {Bound.ARRAY, Bound.DRAIN}
    assert {layer.bound for layer in slow.layers} == {Bound.WEIGHTS}
    assert slow.cycles > 4 * fast.cycles and slow.bytes == fast.bytes
    several = cost_of(machine_of("bitmod", bandwidth=1e12, engines=4), SMOLLM2, 8)
    assert 3 < fast.cycles / several.cycles <= 4.5
    for layer in fast.layers:
        assert 0 < layer.utilization <= 1 and 0 < layer.occupancy <= 1


@pytest.mark.parametrize("name", ["tender", "rsr"])
def test_a_job_that_is_not_followed(name, monkeypatch):
    """Its closed form is within 2 % of what each cycle says, which is what the RTL takes (tb/test_job_cycles.py)."""
    one = scheme(name)
    parameters, around = one.accelerator
    machine = Machine(one, one.formats[0], one.config_of(one.formats[0], **parameters), bandwidth=1e12,
                      bus_bytes=around["bus_bytes"])
    layers = [layer.__class__(layer.name, layer.n, layer.k) for layer in SMOLLM2.layers if layer.n * layer.k > 576 * 576]
    shape = SMOLLM2.__class__(**{**vars(SMOLLM2), "layers": tuple(layers)})
    followed = cost_of(machine, shape, 8).layers
    monkeypatch.setattr(performance, "_FOLLOWED", 0)
    performance._job.cache_clear()
    for exact, estimated in zip(followed, cost_of(machine, shape, 8).layers, strict=True):
        assert exact.cycles != estimated.cycles and abs(estimated.cycles / exact.cycles - 1) < 0.02, exact.layer.name
    performance._job.cache_clear()


def test_shapes():
    assert SMOLLM2.weights == 106_168_320
    assert NAMED["Llama-2-7B"].weights == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert round(NAMED["Llama-2-70B"].weights / 1e9, 1) == 68.5 and round(NAMED["OPT-6.7B"].weights / 1e9, 1) == 6.4
    assert SMOLLM2.attention_macs(100) == 2 * 30 * 576 * 100


def test_shape_of_a_config(tmp_path):
    given = {"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "intermediate_size": 1536,
             "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152}
    (tmp_path / "config.json").write_text(json.dumps(given))
    assert shape_of(str(tmp_path)).layers == SMOLLM2.layers
    (tmp_path / "config.json").write_text(json.dumps({**given, "model_type": "mamba"}))
    with pytest.raises(ValueError, match="model_type must be llama"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="KeyError: 'model_type'"):
        shape_of(str(tmp_path / "config.json"))


def test_plan(tmp_path):
    arguments = ["plan", "bitmod:bitmod-fp4,form=dense", "rsr", "--model", "llama-2-70b", "--json", str(tmp_path / "plan.json"),
                 "--plot", str(tmp_path / "roof.svg")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "plan.json").read_text())
    assert told["decode_tokens_per_s"] > 0 and told["prefill_tokens_per_s"] > told["decode_tokens_per_s"]
    assert [engine["engine"].split()[0] for engine in told["engines"]] == ["bitmod", "rsr"]
    assert {"cycles", "bytes", "bound", "utilization", "occupancy"} <= told["layers"][0].keys()
    assert (tmp_path / "roof.svg").stat().st_size > 5000 and "tokens/s" in done.output


@pytest.mark.parametrize("arguments, said", [
    (["bitmod", "--model", "llama-3"], "--model must be one of SmolLM2-135M"),
    (["nothing", "--model", "OPT-6.7B"], "nothing"),
    (["rsr:int4", "--model", "OPT-6.7B"], "--format must be one that the engine takes"),
    (["rsr,max_k=4096", "--model", "OPT-6.7B"], "K of ffn_down must be at most the engine's 4096, not 16384"),
    (["rsr", "--model", "OPT-6.7B", "--clock", "0"], "clock"),
])
def test_what_is_refused(arguments, said):
    done = CliRunner().invoke(main, ["plan", *arguments])
    assert done.exit_code == 2 and said in done.output
