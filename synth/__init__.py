# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What designs cost: area and timing in a cell library, resources and frequency of an FPGA."""
