# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The engines, and the shell that all of them share."""

from .bcq import BcqEngine
from .bipolar import BipolarEngine
from .bitmod import BitModEngine
from .rsr import RsrEngine
from .tender import TenderEngine

__all__ = ["BcqEngine", "BipolarEngine", "BitModEngine", "RsrEngine", "TenderEngine"]
