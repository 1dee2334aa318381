# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact NumPy models: what each engine answers, to the bit; a package a scheme, and what they share."""
