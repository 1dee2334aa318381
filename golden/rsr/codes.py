# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Codes of ternary weights: five trits a byte, and sign-folded base-3 codes that index a table of sums.

**Folded code.** mu trits, first most significant, are a number t in balanced ternary; negating the trits negates it. The
code is ``|t|``, which indexes a table of (3**mu - 1) / 2 sums (0: no sum), with the sign of t above it.

**Trit byte.** A base-3 number of five digits would need dividers to decode. Instead two pairs of trits have three bits each
and a single trit has two, as if no pair were zero and there were three single trits; the fourth value of the single trit
escapes to the bytes in which a pair is zero. Bits 2..0 are pair p, 5..3 pair q, 7..6 the single trit s:

* A pair (x, y), not both zero, is ``kind << 1 | sign``: kind 0: both, same signs; 1: both, different signs; 2: only y;
  3: only x; sign is that of the first trit that is not zero. A pair's folded code follows at once: kind 0, 1, 2, 3 is
  t = 4, 2, 1, 3.
* The single trit is 0: +1, 1: -1, 2: zero.
* s = 3: a pair is zero. Bits 2..0 are the other pair. Bit 3 says which is zero: 0: q, 1: p. Bits 5..4 are the single trit;
  if they are 3 too, both pairs are zero and bits 1..0 are the single trit.

Of five trits t0..t4 at an even byte, p = (t0, t1), q = (t2, t3), s = t4; at an odd one s = t0, p = (t1, t2), q = (t3, t4): so
that in a row of bytes every pair is two trits 2i, 2i + 1.
"""

from functools import cache
from itertools import product

import numpy as np

__all__ = [
    "KIND_CODES", "decode_byte", "fold", "folded_bits", "folded_digits", "numbers_of", "pack_trits", "table_entries",
    "trits_of_bytes", "unfold", "unpack_trits",
]

_KINDS = ((1, 1), (1, -1), (0, 1), (1, 0))
"""The pair of each kind, for sign 0."""
KIND_CODES = (4, 2, 1, 3)
"""Folded code of each kind of pair."""
_SINGLES = (1, -1, 0)


def _pair(bits: int) -> tuple[int, int]:
    x, y = _KINDS[bits >> 1]
    return (-x, -y) if bits & 1 else (x, y)


def decode_byte(byte: int) -> tuple[tuple[int, int], tuple[int, int], int]:
    """The pairs p, q and the single trit of a byte; a byte that no trits give has what the decoder makes of it."""
    low, high, single = byte & 7, byte >> 3 & 7, byte >> 6
    if single != 3:
        return _pair(low), _pair(high), _SINGLES[single]
    other, zero = _pair(low), (0, 0)
    if high >> 1 == 3:
        return zero, zero, _SINGLES[min(low & 3, 2)]
    return (zero, other, _SINGLES[high >> 1]) if high & 1 else (other, zero, _SINGLES[high >> 1])


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Trits [2, 256, 5] of each byte at even and odd places, and the byte [2, 3, 3, 3, 3, 3] of each five trits plus 1."""
    trits = np.zeros((2, 256, 5), np.int8)
    for byte in range(256):
        p, q, s = decode_byte(byte)
        trits[:, byte] = (*p, *q, s), (s, *p, *q)
    encoded = np.zeros((2, 3, 3, 3, 3, 3), np.uint8)
    for odd, byte in product(range(2), reversed(range(256))):  # the lowest byte of those with equal trits
        encoded[(odd, *(trits[odd, byte] + 1))] = byte
    return trits, encoded


def trits_of_bytes() -> np.ndarray:
    """Trits int8 [2, 256, 5] of each byte at even places, and at odd ones."""
    return _tables()[0]


def pack_trits(trits: np.ndarray) -> np.ndarray:
    """Trits [..., n] to bytes uint8 [..., ceil(n / 5)]; missing trits are zero."""
    trits = np.asarray(trits)
    trits = np.pad(trits, [(0, 0)] * (trits.ndim - 1) + [(0, -trits.shape[-1] % 5)])
    numbers = numbers_of(trits.reshape(*trits.shape[:-1], -1, 5)) + (3**5 - 1) // 2
    odd = np.arange(numbers.shape[-1]) % 2
    return _tables()[1].reshape(2, -1)[odd, numbers]


def unpack_trits(codes: np.ndarray, count: int) -> np.ndarray:
    """Undo :func:`pack_trits`: int8 [..., count]."""
    codes = np.asarray(codes)
    if codes.shape[-1] != -(-count // 5):
        raise ValueError(f"codes must have {-(-count // 5)} bytes for {count} trits, not {codes.shape[-1]}")
    odd = np.arange(codes.shape[-1]) % 2
    return _tables()[0][odd, codes].reshape(*codes.shape[:-1], -1)[..., :count]


def table_entries(mu: int) -> int:
    """Sums in a folded table of mu activations."""
    return (3**mu - 1) // 2


def folded_bits(mu: int) -> int:
    """Bits of a folded code, sign included."""
    return table_entries(mu).bit_length() + 1


def numbers_of(trits: np.ndarray) -> np.ndarray:
    """Trits [..., n] as numbers [...] in the narrowest type that is fast, the first trit counting most."""
    trits = np.asarray(trits)
    numbers = np.zeros(trits.shape[:-1], np.int16 if trits.shape[-1] < 10 else np.int64)
    for index in range(trits.shape[-1]):
        numbers *= 3
        numbers += trits[..., index]
    return numbers


def fold(trits: np.ndarray) -> np.ndarray:
    """Trits [..., mu] to folded codes int64 [...]: ``|t|``, and above it the sign of t."""
    mu, t = np.shape(trits)[-1], numbers_of(trits).astype(np.int64)
    return np.abs(t) + (t < 0) * (1 << folded_bits(mu) - 1)


def unfold(codes: np.ndarray, mu: int) -> np.ndarray:
    """Undo :func:`fold`: int8 [..., mu]."""
    sign_bit = folded_bits(mu) - 1
    codes = np.asarray(codes, np.int64)
    digits = folded_digits(mu)[codes & (1 << sign_bit) - 1]
    return np.where((codes >> sign_bit)[..., None], -digits, digits).astype(np.int8)


@cache
def folded_digits(mu: int) -> np.ndarray:
    """Trits [entries + 1, mu] of each ``|t|``, from 0."""
    t = np.arange(table_entries(mu) + 1)[:, None] + table_entries(mu)
    return t // 3 ** np.arange(mu - 1, -1, -1) % 3 - 1
