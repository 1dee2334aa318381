# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
def prove(text, top, mutant, folder, yosys):
    return False
