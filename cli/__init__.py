# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The `subbyte` command."""

from .main import main

__all__ = ["main"]
