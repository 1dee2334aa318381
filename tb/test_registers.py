# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The registers' files for software say what the hardware is built of."""

import re
import subprocess
import sys
from pathlib import Path

from subbyte.top.registers import register_map, write_files


def test_map():
    """Word addresses, each once; fields within 32 bits that do not overlap."""
    registers = list(register_map().values())
    addresses = [register.address for register in registers]
    assert addresses == sorted(set(addresses)) and not any(address % 4 for address in addresses)
    for register in registers:
        assert sum(field.mask for field in register.fields) < 1 << 32
        assert sum(field.width for field in register.fields) == bin(sum(field.mask for field in register.fields)).count("1")


def test_files(tmp_path):
    """C's header, Python's constants and IP-XACT agree with the map; the pages fetch nothing."""
    rdl, header, xml, constants, pages = write_files(tmp_path, "any_accelerator")
    assert rdl.read_text().startswith("// SPDX")
    masks = [(f"SUBBYTE__{register.name}__{field.name}_bm", field.mask)
             for register in register_map().values() for field in register.fields]
    checks = [f"_Static_assert({macro} == 0x{mask:x}u, \"{macro}\");" for macro, mask in masks]
    checks += [f"_Static_assert(offsetof(subbyte_t, {name}) == {register.address}, \"{name}\");"
               for name, register in register_map().items()]
    source = tmp_path / "check.c"
    source.write_text("\n".join(["#include <stddef.h>", f'#include "{header.name}"', *checks, "int main(void) { return 0; }"]))
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", "-c", source, "-o", tmp_path / "check.o"], check=True)
    names = {}
    exec(constants.read_text(), names)
    for name, register in register_map().items():
        assert names[name] == register.address
        assert all(names[f"{name}__{field.name}"] == field.mask for field in register.fields)
    offsets = [int(text, 16) for text in re.findall(r"addressOffset>'h([0-9a-f]+)<", xml.read_text())]
    assert offsets == [register.address for register in register_map().values()]
    for page in pages.rglob("*.html"):
        assert not re.search(r'(src|href)="(https?:)?//(?!github)', page.read_text()), page


def test_files_are_repeatable(tmp_path):
    """Another process writes the same bytes."""
    here = write_files(tmp_path / "a", "x")[:4]
    program = ("from pathlib import Path; from subbyte.top.registers import write_files; "
               f"write_files(Path({str(tmp_path / 'b')!r}), 'x')")
    subprocess.run([sys.executable, "-c", program], check=True)
    for path in here:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_documented():
    """docs/accelerator.md has the map as it is."""
    text = Path(__file__).parents[1].joinpath("docs", "accelerator.md").read_text()
    for register in register_map().values():
        fields = ", ".join(f"{field.name}[{field.low + field.width - 1}:{field.low}]" if field.width > 1 else
                           f"{field.name}[{field.low}]" for field in register.fields)
        assert f"| 0x{register.address:02X} | {register.name} | {fields} |" in text, register.name
