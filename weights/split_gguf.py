# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A GGUF model in several files: the header's fields are in the first one."""

from .gguf_file import GgufFile
from .reader import Reader, WeightFileError

__all__ = ["SplitGguf"]


class SplitGguf(GgufFile):
    """Files ``-00001-of-0000N`` as one."""

    def __init__(self, path, files):
        Reader.__init__(self, path)
        self.files = tuple(files)
        self._parts = [GgufFile(file) for file in files]
        self._places = {}
        for part in self._parts:
            for name in part.shapes():
                if self._places.setdefault(name, part) is not part:
                    raise WeightFileError(f"{part.path}: tensor {name!r} is in {self._places[name].path}, too")

    def shapes(self):
        return {name: shape for part in self._parts for name, shape in part.shapes().items()}

    def type_of(self, name):
        return self._places[self.known(name)].type_of(name)

    def field(self, name, default=None):
        """Contents of a metadata field."""
        return next((part.field(name) for part in self._parts if part.field(name) is not None), default)

    def _load(self, name, index):
        return self._places[name]._load(name, index)

    def _codes(self, name, index):
        return self._places[name]._codes(name, index)
