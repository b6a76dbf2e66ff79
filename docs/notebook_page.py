"""The tutorial as a page: hooks of mkdocs that make TUTORIAL.md of TUTORIAL.ipynb, so that there is one text.

Documents link to the notebook, which is there without mkdocs too; on the site the link leads to the page. `code` is
what tests run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent / "TUTORIAL.ipynb"


def cells() -> list[tuple[str, str]]:
    """Kind ("markdown" or "code") and text of each cell."""
    return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(NOTEBOOK.read_text())["cells"]]


def code() -> list[str]:
    """What the cells of code say, in their order."""
    return [text for kind, text in cells() if kind == "code"]


def page() -> str:
    """All cells in Markdown."""
    return "\n\n".join(text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells()) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs with what it found in the folder."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "TUTORIAL.md", content=page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs with every page."""
    return markdown.replace("](TUTORIAL.ipynb)", "](TUTORIAL.md)")
