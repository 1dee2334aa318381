# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds the packages; everything else is said in pyproject.toml, which cannot find packages below a root of another name."""

from setuptools import find_packages, setup

ROOMS = find_packages(exclude=["tests", "build", "build.*"])

setup(packages=["subbyte", *(f"subbyte.{room}" for room in ROOMS)])
