# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthesizable RTL for matrix products with weights of fewer than eight bits."""

__version__ = "0.1.0"
