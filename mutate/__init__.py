# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""How good the benches are: faults of the generated RTL, one at a time, each of which a bench must notice."""
