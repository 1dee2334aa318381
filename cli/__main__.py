# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`python -m subbyte.cli`: the command without its entry point on the path."""

from . import main

if __name__ == "__main__":
    main(prog_name="subbyte")
