"""Folders: what is found, whose it is, what is reported, and that nothing brings it down."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import docx
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge import documents
from knowledge.documents import read_file, read_folder, split
from knowledge.readers import READERS
from knowledge.readers.base import RawFile
from knowledge.types import Audience

FAQ = "question,answer\nA?,a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "kb"
    root.mkdir()
    return root


def put(root: Path, name: str, content: str | bytes = "Some text.") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def sources(*roots: Path) -> list[str]:
    return [document.source for document in read_folder(roots).documents]


def test_a_folder_is_read_with_all_below_it_in_a_stable_order(folder: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/b/c.html", "faq.csv", "B.md"):
        put(folder, name, FAQ if name.endswith("csv") else "Some text.")
    assert sources(folder) == ["B.md", "a/b/c.html", "a/z.txt", "b.md", "faq.csv"]


def test_one_bad_file_is_reported_by_name_and_the_rest_is_read(folder: Path) -> None:
    put(folder, "a.md")
    put(folder, "broken.pdf", b"%PDF-1.4 nothing")
    put(folder, "prices.csv", "item,price\n")
    put(folder, "z.md")
    reading = read_folder([folder])
    assert [document.source for document in reading.documents] == ["a.md", "z.md"]
    assert [problem.source for problem in reading.problems] == ["broken.pdf", "prices.csv"]


def test_files_of_other_kinds_and_empty_files_are_told_as_skipped(folder: Path) -> None:
    put(folder, "logo.png", b"\x89PNG")
    put(folder, "LICENSE")
    put(folder, "empty.md", "")
    put(folder, "headings.md", "# Only\n\n## Headings\n")
    put(folder, "empty.csv", "")
    put(folder, "empty.yaml", "# nothing\n")
    reading = read_folder([folder])
    assert not reading.documents
    assert not reading.problems
    assert [each.source for each in reading.skipped] == [
        "LICENSE", "empty.csv", "empty.md", "empty.yaml", "headings.md", "logo.png",
    ]  # fmt: skip


def test_hidden_files_and_folders_are_passed_over(folder: Path) -> None:
    for name in (".git/a.md", ".hidden.md", "~$open.docx", "a/.b/c.md"):
        put(folder, name)
    reading = read_folder([folder])
    assert (reading.documents, reading.problems, reading.skipped) == ((), (), ())


def test_a_missing_path_is_a_problem_and_not_an_error(folder: Path) -> None:
    put(folder, "a.md")
    reading = read_folder([folder / "nowhere", folder])
    assert "no such file" in reading.problems[0].message
    assert len(reading.documents) == 1


def test_links_out_of_the_folder_are_not_followed(folder: Path) -> None:
    put(folder.parent, "secret.md", "Secret.")
    put(folder.parent, "secrets/more.md", "Secret.")
    (folder / "link.md").symlink_to(folder.parent / "secret.md")
    (folder / "linked").symlink_to(folder.parent / "secrets")
    (folder / "loop.md").symlink_to(folder / "loop.md")
    (folder / "up").symlink_to(folder.parent)
    reading = read_folder([folder])
    assert not reading.documents
    assert {each.source for each in reading.skipped} == {"link.md", "linked", "loop.md", "up"}


def test_a_link_inside_the_folder_is_read_once(folder: Path) -> None:
    put(folder, "z.md")
    (folder / "a.md").symlink_to(folder / "z.md")
    # Kubernetes mounts files like this: the link is shown, the file is in a hidden folder.
    put(folder, "..data/mounted.md")
    (folder / "mounted.md").symlink_to(folder / "..data/mounted.md")
    assert sources(folder) == ["mounted.md", "z.md"]


def test_a_link_does_not_take_a_file_out_of_the_internal_folder(folder: Path) -> None:
    put(folder, ".store/internal/pay.md", "Salaries.")
    (folder / "customer").mkdir()
    (folder / "customer" / "pay.md").symlink_to(folder / ".store/internal/pay.md")
    (document,) = read_folder([folder]).documents
    assert document.audience is Audience.INTERNAL


def test_pipes_and_other_special_files_are_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.md")
    assert read_folder([folder]).skipped[0].source == "pipe.md"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_reported(folder: Path) -> None:
    put(folder, "a.md").chmod(0)
    assert "cannot be opened" in read_folder([folder]).problems[0].message


def test_a_file_that_is_too_large_is_reported_with_the_limit(folder: Path) -> None:
    with (folder / "big.txt").open("wb") as stream:
        stream.truncate(documents.MAX_FILE + 1)
    (problem,) = read_folder([folder]).problems
    assert "50 MB" in problem.message


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    path = put(folder, "a/x.md")
    assert sources(folder, folder / "a", path) == ["a/x.md"]


def test_the_same_name_in_two_folders_gives_two_sources(folder: Path) -> None:
    put(folder, "one/kb/faq.md")
    put(folder, "two/kb/faq.md")
    put(folder, "three/faq.md")
    put(folder, "three/only.md")
    one, two, three = (folder / name for name in ("one/kb", "two/kb", "three"))
    assert sources(one, three) == ["kb/faq.md", "three/faq.md", "only.md"]
    found = sources(one, two)
    assert len(set(found)) == 2
    assert all(source.endswith("kb/faq.md") for source in found)


def test_a_name_that_is_not_unicode_can_be_cited(folder: Path) -> None:
    path = os.fsencode(folder) + b"/caf\xe9.md"
    with open(path, "wb") as stream:  # noqa: PTH123 - pathlib takes no bytes
        stream.write(b"Text.")
    (document,) = read_folder([folder]).documents
    assert document.source == "caf\ufffd.md"
    assert split(document)[0].id


@pytest.mark.parametrize(
    ("name", "content", "argument", "audience"),
    [
        ("a.md", "T.", Audience.CUSTOMER, Audience.CUSTOMER),
        ("a.md", "T.", Audience.INTERNAL, Audience.INTERNAL),
        ("internal/a.md", "T.", Audience.CUSTOMER, Audience.INTERNAL),
        ("x/Internal/y/a.md", "T.", Audience.CUSTOMER, Audience.INTERNAL),
        ("customer/a.md", "T.", Audience.INTERNAL, Audience.CUSTOMER),
        ("internal/customer/a.md", "T.", Audience.CUSTOMER, Audience.INTERNAL),
        ("customer/internal/a.md", "T.", Audience.CUSTOMER, Audience.INTERNAL),
        ("internals/a.md", "T.", Audience.CUSTOMER, Audience.CUSTOMER),
        ("internal.md", "T.", Audience.CUSTOMER, Audience.CUSTOMER),
        ("internal/a.md", "---\naudience: customer\n---\nT.", Audience.INTERNAL, Audience.CUSTOMER),
        ("customer/a.md", "---\naudience: internal\n---\nT.", Audience.CUSTOMER, Audience.INTERNAL),
    ],
)
def test_the_audience_is_the_page_s_own_then_the_folder_s_then_the_argument(
    folder: Path, name: str, content: str, argument: Audience, audience: Audience
) -> None:
    put(folder, name, content)
    (document,) = read_folder([folder], audience=argument).documents
    assert document.audience is audience
    assert all(passage.audience is audience for passage in split(document))


def test_a_folder_named_internal_counts_when_it_is_the_one_given_or_above_it(folder: Path) -> None:
    put(folder, "internal/hr/a.md")
    for root in (folder / "internal", folder / "internal/hr", folder / "internal/hr/a.md"):
        (document,) = read_folder([root]).documents
        assert document.audience is Audience.INTERNAL


def test_a_folder_named_customer_above_the_one_given_loosens_nothing(folder: Path) -> None:
    put(folder, "customer/hr/a.md")
    (document,) = read_folder([folder / "customer/hr"], audience=Audience.INTERNAL).documents
    assert document.audience is Audience.INTERNAL


def test_progress_is_told_each_source(folder: Path) -> None:
    put(folder, "a.md")
    put(folder, "b.md")
    told: list[str] = []
    read_folder([folder], progress=told.append)
    assert told == ["a.md", "b.md"]


def test_nothing_outside_the_file_is_fetched_or_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(
        folder,
        "a.html",
        '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
        '<base href="http://127.0.0.1:9/"><link rel="stylesheet" href="http://127.0.0.1:9/x.css">'
        '<img src="http://127.0.0.1:9/x.png"><p>Text &x;</p>',
    )
    put(folder, "a.md", "![x](http://127.0.0.1:9/x.png) Text")

    def no_network(*_: object) -> None:
        pytest.fail("a reader opened a connection")

    monkeypatch.setattr("socket.socket.connect", no_network)  # the outside world, not ours
    assert len(read_folder([folder]).documents) == 2


def _office(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == ".xlsx":
        book = openpyxl.Workbook()
        book.active.append(["question", "answer"])
        book.active.append(["A?", "a"])
        book.save(stream)
    else:
        made = docx.Document()
        made.add_paragraph("Text.")
        made.save(stream)
    return stream.getvalue()


SEEDS = {
    ".xlsx": _office(".xlsx"),
    ".docx": _office(".docx"),
    ".pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Kids[3 0 R]/Count 1"
    b"/Type/Pages>>endobj 3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R>>endobj 4 0 obj"
    b"<</Length 18>>stream\nBT (Hello) Tj ET\nendstream endobj trailer<</Root 1 0 R>>",
    ".csv": FAQ.encode(),
    ".jsonl": b'{"q": "A?", "a": "b"}\n',
    ".yaml": b"- q: A?\n  a: b\n",
    ".md": b"---\nlang: en\n---\n# T\n\n<b>x</b> `c`\n\n| a |\n|---|\n| b |\n",
    ".html": b"<title>T</title><h1>H</h1><table><tr><td>a<td>b</table><ul><li>x</ul>",
}


@pytest.mark.parametrize("ending", sorted(READERS))
@settings(max_examples=30, deadline=None)
@given(
    data=st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_under_any_ending_are_read_or_reported(ending: str, data: bytes) -> None:
    reading = read_file(RawFile(f"a{ending}", data))
    assert reading.documents or reading.problems or reading.skipped
    # The outermost net is for mistakes of ours; each format catches its own.
    assert not any("what its name says" in problem.message for problem in reading.problems)
    for document in reading.documents:
        for passage in split(document):
            assert passage.text.strip()


@pytest.mark.parametrize("ending", sorted(SEEDS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_reported(ending: str, data: st.DataObject) -> None:
    content = bytearray(SEEDS[ending])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reading = read_file(RawFile(f"a{ending}", bytes(content)))
    assert reading.documents or reading.problems or reading.skipped
    assert not any("what its name says" in problem.message for problem in reading.problems)


def test_json_values_of_any_shape_are_read_or_reported() -> None:
    values = [None, True, 1, "x", [], {}, [[]], [None], {"a": 1}, {"faqs": []}, [{"q": {}}], [{}]]
    for value in values:
        reading = read_file(RawFile("a.json", json.dumps(value).encode()))
        assert not reading.documents
