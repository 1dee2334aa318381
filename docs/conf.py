# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The site: `make docs` builds it into build/docs; every warning is an error."""

import json
import sys
from pathlib import Path

import subbyte
from subbyte.report.exploration import exploration_page

sys.path.insert(0, str(Path(__file__).parent))

project, author, copyright = "subbyte", "subbyte contributors", "2026 subbyte contributors"
version = release = subbyte.__version__

extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc", "sphinx_click", "sphinx_copybutton", "_site.directives",
]
exclude_patterns = ["_site/*"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_render_markdown_format = "gfm"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
repository = "https://github.com/subbyte/subbyte"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = "subbyte"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "source_repository": f"{repository}/", "source_branch": "main", "source_directory": "docs/",
}
html_copy_source = html_show_sourcelink = False


def members_as_attributes(app, what, name, obj, options, lines):
    """numpydoc knows no section Members, in which components list their ports."""
    for at, line in enumerate(lines[:-1]):
        if line.strip() == "Members" and set(lines[at + 1].strip()) == {"-"}:
            lines[at:at + 2] = [line.replace("Members", "Attributes"), lines[at + 1].replace("-------", "----------")]


def files_of_the_repository(app, name, source):
    """Links that leave docs/ lead to the repository; tests/test_docs.py checks that the files are there."""
    source[0] = source[0].replace("](../", f"]({repository}/blob/main/")


def page_of_the_exploration(app, error):
    """What `subbyte explore --preset smollm2` found, as its page."""
    if error is None and app.builder.format == "html":
        found = json.loads((Path(app.srcdir) / "explore-smollm2.json").read_text(encoding="utf-8"))
        (Path(app.outdir) / "explore-smollm2.html").write_text(exploration_page(found), encoding="utf-8")


def setup(app):
    """Changes to what is read, and a page beside."""
    app.connect("build-finished", page_of_the_exploration)
    app.connect("source-read", files_of_the_repository)
    app.connect("autodoc-process-docstring", members_as_attributes, priority=100)
