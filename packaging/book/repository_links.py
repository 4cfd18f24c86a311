"""Preprocessor of mdBook for links to what the book does not contain: README.md, sources, tests, its table of contents.

With SIGNET_REPOSITORY_URL (such as https://forge.example.com/signet/blob/main) they lead there. Without it only their
text stays, because the book does not contain those files.
"""

import json
import os
import posixpath
import re
import sys

LINK = re.compile(r"(?<!!)\[([^\]\[]*(?:\[[^\]]*\][^\]\[]*)*)\]\(([^)\s]+)\)")


def rewrite(text: str, page: str, repository: str) -> str:
    def replace(link: re.Match[str]) -> str:
        label, target = link.groups()
        if "://" in target or target.startswith("#"):
            return link[0]
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
        if path.startswith("docs/") and path.split("#")[0] != "docs/SUMMARY.md":
            # mdBook calls the page of a folder index.
            target = re.sub(r"(^|/)README[.]md", r"\1index.md", target)
            return f"[{label}]({target})"
        return f"[{label}]({repository}/{path})" if repository else label

    return LINK.sub(replace, text)


def visit(items: list, repository: str) -> None:
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter and chapter.get("path"):
            chapter["content"] = rewrite(chapter["content"], chapter["path"], repository)
            visit(chapter["sub_items"], repository)


def main() -> None:
    if sys.argv[1:2] == ["supports"]:
        return
    _context, book = json.load(sys.stdin)
    # mdBook 0.4 calls them sections.
    visit(book.get("items", book.get("sections", [])), os.environ.get("SIGNET_REPOSITORY_URL", "").rstrip("/"))
    json.dump(book, sys.stdout)


if __name__ == "__main__":
    main()
