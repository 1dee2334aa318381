# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact Tender model: against the authors' recorded runs, against plain integers, its packer, its cycle count."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden import tender
from subbyte.golden.tender import TenderConfig, decompose, quantize
from subbyte.tests.recordings import recordings

SMALL = TenderConfig(rows=2, cols=3, lanes=4, drain=1)
recorded = pytest.mark.parametrize("path", recordings("tender_*.npz"), ids=lambda path: path.stem)


def operands(seed, m=6, n=5, k=40, bits=4, groups=4, chunk_size=4, unsigned=False, spread=2.0, **kwargs):
    """Decomposed activations with outlier channels, and a quantized weight."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (m, k)) * np.exp(spread * rng.normal(0, 1, k))
    x = (np.abs(x) if unsigned else x).astype(np.float32)
    weight = rng.normal(0, 0.02, (n, k)).astype(np.float32)
    return decompose(x, bits, groups, chunk_size, unsigned, **kwargs), quantize(weight, bits), weight


# Against the authors


@recorded
def test_authors_integers_and_sums(path):
    run = np.load(path, allow_pickle=False)
    bits, groups = int(run["q_bits"]), int(run["G"])
    qweight = quantize(run["w"], bits)
    x = decompose(run["x"], bits, groups, int(run["chunk_size"]), bool(run["act_unsigned"]), bool(run["has_ch_bias"]))
    assert np.array_equal(qweight.codes, run["wq"][0]) and np.array_equal(qweight.scales, run["w_scale"][0])
    for name, key in (("xq", "xq"), ("group_index", "group_index"), ("scales", "act_scale"), ("order", "derived_perm"),
                      ("counts", "derived_group_counts")):
        assert np.array_equal(getattr(x, name), run[key][0]), name
    assert np.array_equal(tender.accumulate(x, qweight), run["derived_acc"][0])


@recorded
def test_authors_outputs(path):
    """Within the rounding of their own summation; the engine's answer within its derived bound."""
    run = np.load(path, allow_pickle=False)
    bits = int(run["q_bits"])
    qweight = quantize(run["w"], bits)
    x = decompose(run["x"], bits, int(run["G"]), int(run["chunk_size"]), bool(run["act_unsigned"]), bool(run["has_ch_bias"]))
    corr = tender.correction(x, run["w"]) if run["has_ch_bias"] else None
    bias = run["lin_bias"] if run["has_lin_bias"] else None
    scale = np.take_along_axis(x.scales, x.group_index, axis=1)[:, None, :]
    norm = (np.abs(x.xq * scale) @ np.abs(qweight.codes * qweight.scales[:, None]).T).max()
    tolerance = norm * (1e-12 if run["x"].dtype == np.float64 else 2e-6)
    assert np.abs(tender.reference(x, qweight) - run["y_prod"][0]).max() <= tolerance
    y = tender.reference(x, qweight, corr).reshape(-1, len(qweight.codes))[: x.rows] + (0 if bias is None else bias)
    assert np.abs(y - run["y"]).max() <= tolerance
    config = TenderConfig(rows=1, bits_w=bits, bits_a=bits)
    got = tender.matmul(x, qweight, config, corr, bias)
    assert np.all(np.abs(got - y) <= tender.error_bound(x, qweight, corr, bias))


# Quantizers


def test_maximum_on_a_threshold_takes_the_smaller_scale():
    x = np.array([[8, 4, 4.5, 2, 1, 0.25], [0] * 6], np.float64)
    got = decompose(x, 4, 4, 2, channel_bias=False)
    assert got.group_index.tolist() == [[3, 2, 3, 1, 0, 0]]
    assert got.order.tolist() == [[0, 2, 1, 3, 4, 5]]
    assert got.counts.tolist() == [[2, 1, 1, 2]]
    assert np.array_equal(got.scales, np.array([[1, 2, 4, 8]]) / 7)


def test_ties_round_to_even():
    x = np.array([[7, 0.5, 1.5, -2.5, -0.5]], np.float32)
    assert decompose(x, 4, 1, 1, channel_bias=False).xq.tolist() == [[[7, 0, 2, -2, 0]]]
    assert quantize(x, 4).codes.tolist() == [[7, 0, 2, -2, 0]]


def test_division_is_true_and_in_float32():
    """A reciprocal multiplication, or float64, gives other integers for some of these."""
    rng = np.random.default_rng(1)
    tmax = np.float32(5.3719)
    scale = np.float32(tmax / np.float32(7))
    near_ties = (np.arange(-6, 7) + 0.5)[:, None] * np.float64(scale)
    x = np.nextafter(near_ties.astype(np.float32), rng.choice([-9, 9], (13, 300)).astype(np.float32))
    x = np.concatenate([x, np.full((1, 300), tmax, np.float32)])
    expected = np.rint(x / scale)
    assert np.array_equal(decompose(x, 4, 1, 14, channel_bias=False).xq[0], expected)
    assert not np.array_equal(np.rint(x * (np.float32(1) / scale)), expected)
    assert not np.array_equal(np.rint(x.astype(np.float64) / np.float64(tmax / np.float32(7))), expected)


def test_filling_rows_take_part_as_the_authors_have_it():
    x = np.array([[2.0, -1], [4, -3], [6, -5]])
    got = decompose(x, 8, 2, 2)
    assert got.xq.shape == (2, 2, 2) and got.rows == 3
    assert got.bias.tolist() == [[3, -2], [3, -2.5]]
    assert got.xq[1].tolist() == [[127, -106], [-127, 106]]  # the filling row holds minus the bias


def test_unsigned_sites():
    x = np.array([[0, 1.0, 0.5], [0.2, 0.3, 0.1]])
    got = decompose(x, 4, 1, 2, unsigned=True)
    assert got.xq.max() == 15 and not got.bias.any()
    assert np.array_equal(got.xq[0], np.rint(x / (1.0 / 15)))


def test_zeros_give_zeros():
    """Where the authors' code stops: a tensor, a chunk, an output channel of zeros."""
    x = np.concatenate([np.zeros((2, 3)), np.ones((2, 3))])
    got = decompose(x, 8, 4, 2, channel_bias=False)
    assert not got.xq[0].any() and not got.scales[0].any() and got.xq[1].all()
    weight = np.array([[0.0, 0, 0], [1, 2, 3]])
    qweight = quantize(weight, 8)
    assert qweight.scales[0] == 0 and not qweight.codes[0].any()
    config = replace(SMALL, bits_w=8, bits_a=8)
    bias = np.array([0.5, 0.25])
    y = tender.matmul(got, qweight, config, bias=bias)
    assert y[:2].tolist() == [[0.5, 0.25]] * 2 and y[2:, 0].tolist() == [0.5, 0.5]


def test_float16_is_refused_where_scales_become_subnormal():
    x = np.array([[60.0, -1], [3, 2]], np.float16)
    assert decompose(x, 4, 4, 2).scales.dtype == np.float16
    with pytest.raises(ValueError, match="groups must leave scales normal numbers of float16, exactly a factor 2 apart"):
        decompose(x, 8, 14, 2)


@pytest.mark.parametrize("arguments, error, message", [
    (dict(bits=3), ValueError, r"bits must be one of \(4, 8\), not 3"),
    (dict(groups=0), ValueError, "groups must be at least 1 and at most 32, not 0"),
    (dict(chunk_size=0), ValueError, "chunk_size must be at least 1, not 0"),
    (dict(chunk_size=1), ValueError, "one token needs a calibration"),
    (dict(unsigned=True), ValueError, "x must not be negative where unsigned is set, not "),
    (dict(unsigned=True, channel_bias=True), ValueError, "channel_bias must be False for unsigned data"),
    (dict(unsigned=1), ValueError, "unsigned must be one of"),
    (dict(x=np.ones((2, 2), int)), TypeError, "x must be float16, float32 or float64, not int64"),
    (dict(x=np.ones((0, 3))), ValueError, r"x must have shape \[rows, K\] with no empty axis"),
    (dict(x=np.array([[1, np.nan]])), ValueError, "x must be finite, not "),
    (dict(x=np.array([[3e38], [-3e38], [3e38]], np.float32)), ValueError, "x must stay finite"),
])
def test_bad_operands_are_refused(arguments, error, message):
    good = dict(x=np.array([[1.0, -2], [3, 4]]), bits=4, groups=2, chunk_size=4)
    if message.startswith("x must stay"):
        arguments = {**arguments, "calibration": tender.Calibration(np.full((1, 1), -3e38), np.ones(1), np.zeros((1, 1), int))}
    with pytest.raises(error, match=message):
        decompose(**{**good, **arguments})


# Calibration


def test_calibration_is_mean_bias_and_largest_maxima():
    a, b = np.array([[1.0, -8], [3, 0]]), np.array([[5.0, 1], [5, 3]])
    got = tender.calibrate([a, b], 8, 4, 2)
    assert got.bias.tolist() == [[3.5, -1]]
    assert got.tmax.tolist() == [4] and got.group_index.tolist() == [[1, 3]] and got.groups == 4
    assert tender.calibrate([a, b], 8, 4, 2, rounding="down").group_index.tolist() == [[0, 2]]
    static = decompose(np.array([[9.5, -1]]), 8, 4, 2, calibration=got)  # a token beyond the range saturates
    assert static.xq[0, 0].tolist() == [127, 0] and static.rows == 1


def test_one_token_takes_the_row_of_its_chunk():
    calibration = tender.Calibration(np.array([[0.0], [1]]), np.array([7.0, 14]), np.array([[0], [0]]))
    x = np.array([[8.0]], np.float32)
    assert decompose(x, 4, 1, 1, calibration=calibration).xq.ravel().tolist() == [7]
    assert decompose(x, 4, 1, 1, calibration=calibration.from_chunk(1)).xq.ravel().tolist() == [4]
    with pytest.raises(ValueError, match="chunk must be one of the 2 calibrated, not 2"):
        calibration.from_chunk(2)


def test_groups_too_deep_for_the_accumulator():
    """Every channel in the top of 16 groups."""
    sample = np.full((4, 4096), 1.0)
    sample[::2] = -1
    with pytest.raises(ValueError, match="groups must be fewer than 16 or accumulator_bits at least 42"):
        tender.calibrate([sample], 8, 16, 4)
    assert tender.calibrate([sample], 8, 16, 4, cap=True).groups == 6
    with pytest.raises(ValueError, match="accumulator_bits must be at least 27 for K = 4096 in one group, not 24"):
        tender.calibrate([sample], 8, 2, 4, accumulator_bits=24, cap=True)


@pytest.mark.parametrize("bits, unsigned, limit", [
    (8, False, 132104), (8, True, 66311), (4, False, 38347922), (4, True, 20452225)])
def test_limit_of_int32(bits, unsigned, limit):
    """32 bits suffice to exactly this sum of channels times powers of two."""
    for count, needed in ((limit, 32), (limit + 1, 33)):
        assert tender.worst_case_bits(np.array([[count]]), bits, bits, unsigned) == needed


@pytest.mark.parametrize("change, message", [
    (dict(tmax=np.ones((1, 1))), "tmax and group_index must have shapes"),
    (dict(tmax=np.array([-1.0])), "tmax must be finite and not negative"),
    (dict(group_index=np.array([[0.5, 1]])), "group_index must be integers from 0"),
    (dict(bias=np.zeros((1, 3))), "bias must have the shape of group_index"),
    (dict(groups=1), "group_index must be below groups, 1, not reach 1"),
])
def test_bad_calibrations_are_refused(change, message):
    good = dict(bias=np.zeros((1, 2)), tmax=np.ones(1), group_index=np.array([[0, 1]]))
    with pytest.raises(ValueError, match=message):
        tender.Calibration(**{**good, **change})


@pytest.mark.parametrize("arguments, message", [
    (dict(groups=3), "groups must be those of the calibration, 2, not 3"),
    (dict(chunk_size=1), "calibration must be for at least 2 chunks of 2 channels, not 1 of 2"),
    (dict(channel_bias=False), "calibration must have no bias where channel_bias is False"),
])
def test_calibration_must_fit(arguments, message):
    calibration = tender.Calibration(np.ones((1, 2)), np.ones(1), np.array([[0, 1]]), 2)
    with pytest.raises(ValueError, match=message):
        decompose(**{**dict(x=np.ones((2, 2)), bits=4, groups=2, chunk_size=2, calibration=calibration), **arguments})


@pytest.mark.parametrize("samples, message", [
    ([], "samples must not be empty"),
    ([np.ones((2, 2)), np.ones((2, 3))], "samples must all have chunks and channels"),
])
def test_bad_samples_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        tender.calibrate(samples, 4, 2)


# The engine's answer


def matmul_in_integers(x, qweight, config, corr, bias):
    """The definition, in Python integers and fractions: values and overflow of each output."""
    half, modulus = 1 << config.accumulator_bits - 1, 1 << config.accumulator_bits
    y, overflow = np.zeros((x.rows, len(qweight.codes)), np.float32), np.zeros((x.rows, len(qweight.codes)), bool)
    for row in range(x.rows):
        chunk, inner = divmod(row, x.xq.shape[1])
        for column in range(y.shape[1]):
            acc, left, last = 0, False, None
            for group in reversed(range(x.groups)):
                channels = [int(k) for k in np.flatnonzero(x.group_index[chunk] == group)]
                if last is None and not channels:
                    continue
                shift = last is not None
                if not channels and not (x.group_index[chunk] < group).any():
                    break
                for start in range(0, max(len(channels), 1), config.lanes):
                    dot = sum(int(x.xq[chunk, inner, k]) * int(qweight.codes[column, k])
                              for k in channels[start : start + config.lanes])
                    total = (acc << shift) + dot
                    acc = (total + half) % modulus - half
                    left, shift = left or acc != total, False
                last = group
            scale = np.float32(float(x.scales[chunk, 0]) * 2.0**last * float(qweight.scales[column]))
            constant = np.float32((0 if corr is None else corr[chunk, column]) + (0 if bias is None else bias[column]))
            exact = acc * Fraction(float(scale)) + Fraction(float(constant))
            candidate = np.float32(float(exact))
            near = [candidate, *(np.nextafter(candidate, np.float32(end)) for end in (-np.inf, np.inf))]
            y[row, column] = min(near, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))
            overflow[row, column] = left
    return y, overflow


@pytest.mark.parametrize("case", [
    dict(), dict(bits=8), dict(unsigned=True), dict(bits=8, unsigned=True, groups=1), dict(groups=9, spread=4.0),
    dict(groups=16, bits=8, spread=5.0), dict(k=3, groups=6),
])
@pytest.mark.parametrize("narrow", [False, True])
def test_matmul_is_its_definition(case, narrow):
    x, qweight, weight = operands(1, **case)
    width = {4: 16, 8: 18}[x.bits] if narrow else 32
    config = replace(SMALL, bits_w=x.bits, bits_a=x.bits, lanes=2, accumulator_bits=width, drain=3)
    corr, bias = tender.correction(x, weight), np.linspace(-1, 1, len(weight))
    for terms in ((corr, bias), (None, None)):
        y, flags = tender.matmul(x, qweight, config, *terms, flags=True)
        expected, overflow = matmul_in_integers(x, qweight, config, *terms)
        assert np.array_equal(y.view(np.uint32), expected.view(np.uint32))
        overflow = np.pad(overflow, ((0, 0), (0, 1)))
        assert np.array_equal(flags.overflow, overflow.reshape(3, 2, 2, 3).any(axis=(1, 3)))
    assert not narrow or case.get("groups", 4) < 16 or flags.overflow.any()


def test_wrap_is_harmless_where_the_final_sum_fits():
    """Beyond 2**15 after the first group, back inside after the second; only the flag tells."""
    index = np.array([[1] * 40 + [0] * 40])
    xq = np.full((1, 1, 80), 15, np.int16)
    x = tender.Decomposed(xq, index, np.array([[1.0, 2]]), np.zeros((1, 80)), 4, True, 1)
    codes = np.array([[7] * 40 + [-7] * 40] * 3, np.int8)
    qweight = tender.QuantizedWeight(codes, np.ones(3), 4)
    narrow = replace(SMALL, accumulator_bits=16, lanes=8)
    y, flags = tender.matmul(x, qweight, narrow, flags=True)
    assert y.tolist() == [[4200.0] * 3] and not flags.overflow.any()
    deep = replace(x, group_index=index * 4, scales=2.0 ** np.arange(5)[None])
    y, flags = tender.matmul(deep, qweight, narrow, flags=True)
    assert flags.overflow.all() and np.all(y == (15 * 4200 + 32768) % 65536 - 32768)


def test_shift_on_empty_groups_matters():
    x, qweight, _ = operands(5, groups=12, spread=5.0, m=2)
    assert ((x.counts == 0)[:, 1:-1]).any()
    beats = tender.beats_of(x, 0, 4)
    occupied = np.flatnonzero(x.counts[0])
    assert beats.shifts.sum() == occupied[-1] - occupied[0] and beats.trailing == 11 - occupied[-1]
    assert sorted(beats.flat[beats.flat < 40]) == list(range(40))
    acc = tender.accumulate(x, qweight)[0, :2]
    scale = (x.scales[0, 0] * qweight.scales.astype(np.float64)).astype(np.float32)
    expected = (acc * scale.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(tender.matmul(x, qweight, replace(SMALL, rows=2)), expected)


def test_bits_of_the_accumulator():
    x, qweight, _ = operands(3, groups=8)
    needed = tender.accumulator_bits(x, qweight)
    assert np.abs(tender.accumulate(x, qweight)).max() < 1 << needed - 1
    assert needed <= tender.worst_case_bits(x.counts, 4, 4, False).max()


@pytest.mark.parametrize("unsigned", [False, True])
def test_int8_from_four_int4_sums(unsigned):
    """The 2 x 2 decomposition: each quarter runs the same recurrence, combined once at the end."""
    x, qweight, _ = operands(7, bits=8, unsigned=unsigned, groups=5)
    codes = [replace(qweight, codes=part) for part in tender.split_nibbles(qweight.codes)]
    parts = [[tender.accumulate(replace(x, xq=xq), part) for part in codes] for xq in tender.split_nibbles(x.xq)]
    assert np.array_equal(tender.recombine_nibbles(*parts[0], *parts[1]), tender.accumulate(x, qweight))


# Packing, schedule, config


@pytest.mark.parametrize("unsigned", [False, True])
def test_pack_and_unpack(unsigned):
    x, qweight, weight = operands(11, m=7, groups=6, unsigned=unsigned, spread=3.0)
    corr = tender.correction(x, weight)
    words = tender.pack(x, qweight, SMALL, corr)
    found = tender.unpack(words, x, len(weight), SMALL)
    assert all(np.array_equal(codes, qweight.codes) for codes in found["codes"])
    assert np.array_equal(found["xq"], x.xq.reshape(-1, 40)[:7])
    assert np.array_equal(found["constants"], corr.astype(np.float32))
    with pytest.raises(ValueError, match="weights must have"):
        tender.unpack({**words, "weights": words["weights"][:-1]}, x, len(weight), SMALL)


def test_outputs_pack_and_unpack():
    rng = np.random.default_rng(1)
    y, overflow = rng.normal(0, 1, (5, 4)).astype(np.float32), rng.random((3, 2)) < 0.5
    words = tender.pack_outputs(y, overflow, np.ones(4, np.float32), SMALL)
    got, flags = tender.unpack_outputs(words, 5, 4, SMALL)
    assert np.array_equal(got, y) and np.array_equal(flags, overflow)
    with pytest.raises(ValueError, match="outputs must have 36 beats, not 35"):
        tender.unpack_outputs(words[1:], 5, 4, SMALL)


def test_schedule_follows_the_groups():
    x, qweight, _ = operands(13, m=7, groups=6, spread=3.0)
    schedule = SMALL.schedule(qweight, x)
    assert len(schedule) == 4
    for chunk in range(2):
        spans = np.trim_zeros(x.counts[chunk])
        beats = sum(max(-(-int(n) // 4), 1) for n in spans)
        assert schedule[2 * chunk].groups[0].beats == schedule[2 * chunk + 1].groups[0].beats == beats
    assert SMALL.timeline(7, 5, schedule).busy == 2 * sum(tile.cycles for tile in schedule)
    with pytest.raises(ValueError, match="k must be the schedule's 40, not 41"):
        SMALL.cycles(7, 5, 41, schedule)


@pytest.mark.parametrize("change, error, message", [
    (dict(bits_w=5), ValueError, r"bits_w must be one of \(4, 8\), not 5"),
    (dict(accumulator_bits=33), ValueError, "accumulator_bits must be at least 16 and at most 32, not 33"),
    (dict(accumulator_bits=16, bits_w=8, bits_a=8), ValueError, "accumulator_bits must be at least 20, the bits of a beat's"),
    (dict(drain=3), ValueError, "drain must divide cols 8, not be 3"),
    (dict(accumulator_chunk="8"), TypeError, "accumulator_chunk must be an integer or None, not '8'"),
    (dict(accumulator_chunk=1), ValueError, "accumulator_chunk must be at least 2, not 1"),
    (dict(output="int3"), ValueError, "output must be one of"),
])
def test_bad_configs_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        TenderConfig(**change)


@pytest.mark.parametrize("change, message", [
    (dict(bits_w=8), "qweight.bits must be the config's bits_w, 8, not 4"),
    (dict(bits_a=8), "decomposed.bits must be the config's bits_a, 8, not 4"),
    (dict(rows=8), "chunk_size must be a multiple of rows 8, since a tile never spans two chunks, not 4"),
    (dict(max_beats=5), "K and its channel groups must take at most max_beats 5 beats, not "),
])
def test_operands_must_fit_the_engine(change, message):
    x, qweight, _ = operands(17)
    with pytest.raises(ValueError, match=message):
        tender.pack(x, qweight, replace(SMALL, **change))


def test_constants_must_fit_the_output_unit():
    x, qweight, _ = operands(19)
    with pytest.raises(ValueError, match=r"products of 0 or 2\*\*-100 to 2\*\*90"):
        tender.matmul(x, replace(qweight, scales=qweight.scales.astype(float) * 1e-40), SMALL)
    with pytest.raises(ValueError, match=r"correction \+ bias must have a magnitude of at most 2\*\*126"):
        tender.matmul(x, qweight, SMALL, bias=np.full(5, 1e38))
    with pytest.raises(ValueError, match=r"divisors must be float32 \(2, 5\) for int8 results, not None"):
        tender.matmul(x, qweight, replace(SMALL, output="int8"))
