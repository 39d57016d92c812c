"""The site: the pages of this folder as they are, the API from docstrings, the gallery run while it is built.

`make docs` builds it into `docs/_build/html`; every missing link, page or reference is an error. With the tag
`pages` (`-t pages`, in the tests) the API and what notebooks show are left out: seconds, not minutes.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx import addnodes

import kinelex

ROOT = Path(__file__).resolve().parents[1]

project, author, copyright = "kinelex", "The kinelex developers", "2026, the kinelex developers"
version = release = kinelex.__version__
PAGES_ALONE = tags.has("pages")  # noqa: F821 - given by Sphinx
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton"]
if not PAGES_ALONE:
    extensions += ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"kinelex {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
highlight_language = "none"  # a fence that names no language holds commands or what they print
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "off" if PAGES_ALONE else "cache"
suppress_warnings = ["myst-nb.lexer"] if PAGES_ALONE else []  # the kernel says what it speaks
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autoclass_content = "both"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", "Source"]
napoleon_use_rtype = False
# Nothing outside is linked, so that the site needs no network: types of other packages stay plain text.
nitpick_ignore_regex = [("py:.*", r"(?!kinelex).*")]


def public_names() -> dict[str, str]:
    """Where each class and function is documented: ``kinelex.data.batch.Batch`` at ``kinelex.data.Batch``."""
    names = {}
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        for module in re.findall(r"automodule:: (\S+)", page.read_text("utf-8")):
            room = importlib.import_module(module)
            for name in getattr(room, "__all__", ()):
                thing = getattr(room, name)
                vars(room)[name] = thing  # autodoc lists what is there, not what is imported on first use
                if callable(thing):
                    names[f"{thing.__module__}.{thing.__qualname__}"] = f"{module}.{name}"
    return names


def is_there(target: str) -> bool:
    """Whether a dotted name of ours can be imported."""
    try:
        pkgutil.resolve_name(target)
    except (ImportError, AttributeError):
        return False
    return True


def resolve(app, env, node, contnode):
    """Link a name by where it is defined; what is ours but on no page stays text, what is not there fails."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("kinelex."):
        return None
    public = app.config.kinelex_public_names.get(target)
    if public:
        kind = node["reftype"]
        return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, kind, public, node, contnode)
    return contnode if is_there(target) else None


def show_source(app, doctree, docname):
    """Let links to a source file lead to its page with colours, where there is one."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for node in list(doctree.findall(addnodes.download_reference)):
        name = node["reftarget"].partition("/src/")[2].removesuffix(".py").replace("/", ".")
        if modules.get(name):
            page = app.builder.get_relative_uri(docname, f"_modules/{name.replace('.', '/')}")
            node.replace_self(nodes.reference("", "", *node.children, refuri=page, internal=True))


def link_folders(app, docname, source):
    """Let links to the template of a plugin, a folder, lead to the notebook about it."""
    source[0] = source[0].replace("](../examples/plugin)", "](tasks/own_part.md)")


class Nothing(Directive):
    """What stands for the API where it is left out."""

    has_content, optional_arguments, final_argument_whitespace = True, 1, True
    option_spec = {"members": directives.unchanged, "exclude-members": directives.unchanged}

    def run(self):
        return []


def setup(app):
    """What Sphinx calls."""
    app.connect("source-read", link_folders)
    if PAGES_ALONE:
        for kind in ("module", "function", "class", "exception"):
            app.add_directive(f"auto{kind}", Nothing)
        return
    app.add_config_value("kinelex_public_names", public_names(), "env")
    app.connect("missing-reference", resolve)
    app.connect("doctree-resolved", show_source)
