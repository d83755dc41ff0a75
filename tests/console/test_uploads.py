"""Uploaded lists: what is read, what is told of every wrong line, and what is never read at all."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from notify_platform.core.errors import Refused
from notify_platform.core.models import AuditEvent
from subscriptions.audience import selection, uploads
from subscriptions.models import Audience, AudienceMember, Subscriber
from templates_app.models import MiniProgram
from tests import factories
from tests.console.conftest import At, Colleague

UPLOAD = reverse("admin:subscriptions_audience_upload")


@pytest.fixture
def program(db: None) -> MiniProgram:
    return factories.a_mini_program()


@pytest.fixture
def people(program: MiniProgram) -> list[Subscriber]:
    return factories.subscribers(program, count=3)


@pytest.fixture
def desk(colleague: Colleague, at_desk: At) -> Client:
    return at_desk(colleague("operator"))


def excel(*lines: Any) -> bytes:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line if isinstance(line, list) else [line])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def posted(desk: Client, program: MiniProgram, content: bytes, *, name: str = "list.csv", **more: str) -> Any:
    data = {"mini_program": program.pk, "name": "VIP", "file": SimpleUploadedFile(name, content), **more}
    return desk.post(UPLOAD, data)


def test_a_list_without_one_good_line_says_that_nothing_can_be_saved(desk: Client, program: MiniProgram) -> None:
    text = posted(desk, program, b"nobody\n", check="1").content.decode()
    assert ("Nothing of it can be saved." in text, 'data-good="0"' in text) == (True, True)


def told(desk: Client, program: MiniProgram, content: bytes, *, name: str = "list.csv") -> tuple[int, dict[int, str]]:
    """How many lines are good, and what is said of the others."""
    answer = posted(desk, program, content, name=name, check="1")
    shown = answer.context["shown"]
    return answer.context["report"].good, {number: str(why) for number, _text, why in shown}


def said(answer: Any) -> list[str]:
    return [str(error) for errors in answer.context["form"].errors.values() for error in errors]


# --- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("heading", ["", "昵称,openid\r\n", "昵称,用户 OpenID\n", "昵称,OPEN_ID\n"])
def test_a_list_is_read_however_it_was_saved(
    desk: Client, program: MiniProgram, people: list[Subscriber], encoding: str, heading: str
) -> None:
    lines = [f"小明，{number},{one.openid}" if heading else one.openid for number, one in enumerate(people)]
    content = (heading + "\r\n".join(lines)).encode(encoding)
    assert told(desk, program, content) == (3, {})
    assert posted(desk, program, content, save="1").status_code == 302
    audience = Audience.objects.get()
    assert (audience.name, audience.kind, set(selection.people(audience))) == ("VIP", Audience.Kind.LIST, set(people))


def test_an_excel_is_read_with_or_without_a_heading(
    desk: Client, program: MiniProgram, people: list[Subscriber]
) -> None:
    openids = [one.openid for one in people]
    assert told(desk, program, excel(*openids), name="a.xlsx") == (3, {})
    assert told(desk, program, excel(["昵称", "openid"], *(["小明", one] for one in openids)), name="A.XLSX") == (3, {})


def test_every_wrong_line_is_told_with_its_number(desk: Client, program: MiniProgram, people: list[Subscriber]) -> None:
    (stranger,) = factories.subscribers(factories.a_mini_program(), count=1)
    first, second, _third = (one.openid for one in people)
    lines = ["openid", first, "", "小明", first, stranger.openid, second, "=A1", second[:9]]
    assert told(desk, program, "\n".join(lines).encode()) == (
        2,
        {
            4: "this is no openid",
            5: "stands further up already",
            6: "nobody of this mini-program has this openid",
            8: "this is a formula; put the value itself there",
            9: "this is no openid",
        },
    )
    assert told(desk, program, excel(first, 17, "=A1", first), name="a.xlsx") == (
        1,
        {2: "this is no openid", 3: "this is a formula; put the value itself there", 4: "stands further up already"},
    )


def test_doubles_are_seen_across_batches_and_each_batch_takes_one_question(
    program: MiniProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "BATCH", 10)
    people = factories.subscribers(program, count=25)
    lines = [one.openid for one in people] + [people[0].openid]
    file = io.BytesIO("\n".join(lines).encode())
    with CaptureQueriesContext(connection) as captured:
        report = uploads.check(file, name="a.csv", size=file.getbuffer().nbytes, mini_program=program)
    assert (report.lines, report.good, dict(report.wrong), len(captured)) == (26, 25, {uploads.Wrong.DOUBLED: 1}, 3)


def test_somebody_forgotten_is_on_no_list(desk: Client, program: MiniProgram, people: list[Subscriber]) -> None:
    from django.utils import timezone

    Subscriber.objects.filter(pk=people[0].pk).update(forgotten_at=timezone.now())
    content = "\n".join(one.openid for one in people).encode()
    assert told(desk, program, content) == (2, {1: "nobody of this mini-program has this openid"})


# --- what is saved -------------------------------------------------------------------------------------------------


def test_checking_saves_nothing(desk: Client, program: MiniProgram, people: list[Subscriber]) -> None:
    posted(desk, program, people[0].openid.encode(), check="1")
    assert (
        Audience.objects.count(),
        AudienceMember.objects.count(),
        AuditEvent.objects.exclude(action="log_in").count(),
    ) == (0, 0, 0)


def test_saving_says_how_many_are_on_the_list_and_how_many_were_left_out(
    desk: Client, program: MiniProgram, people: list[Subscriber]
) -> None:
    content = "\n".join([people[0].openid, "nobody", people[1].openid, people[1].openid]).encode()
    answer = desk.post(
        UPLOAD,
        {"mini_program": program.pk, "name": "VIP", "save": "1", "file": SimpleUploadedFile("a.csv", content)},
        follow=True,
    )
    assert [str(each) for each in answer.context["messages"]] == [
        "The list “VIP” was saved with 2 people.",
        "Left out because something is wrong with them: 2 lines.",
    ]
    audience = Audience.objects.get()
    assert set(selection.people(audience)) == set(people[:2])
    line = AuditEvent.objects.exclude(action="log_in").get()
    assert (line.action, line.subject, line.mini_program, line.detail) == (
        "upload_list",
        f"audience {audience.pk}",
        program.pk,
        {"file": "a.csv", "people": 2, "left_out": 2},
    )


def test_the_way_back_names_the_new_list(desk: Client, program: MiniProgram, people: list[Subscriber]) -> None:
    there = reverse("admin:jobs_sendjob_add") + "?template=7"
    answer = posted(desk, program, people[0].openid.encode(), save="1", next=there)
    assert answer["Location"] == f"{there}&audience={Audience.objects.get().pk}"


@pytest.mark.parametrize("there", ["https://evil.example/", "//evil.example/admin/", "/api/v1/docs", "javascript:x"])
def test_the_way_back_never_leaves_the_desk(
    desk: Client, program: MiniProgram, people: list[Subscriber], there: str
) -> None:
    answer = posted(desk, program, people[0].openid.encode(), save="1", next=there)
    assert answer["Location"] == reverse("admin:subscriptions_audience_change", args=[Audience.objects.get().pk])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "Give the audience a name of at most 60 characters."),
        ("Taken", "There is an audience of this name already."),
    ],
)
def test_a_name_that_is_missing_or_taken_is_told_and_nothing_is_saved(
    desk: Client, program: MiniProgram, people: list[Subscriber], name: str, sentence: str
) -> None:
    Audience.objects.create(mini_program=program, name="Taken")
    file = SimpleUploadedFile("a.csv", people[0].openid.encode())
    answer = desk.post(UPLOAD, {"mini_program": program.pk, "name": name, "save": "1", "file": file})
    assert said(answer) == [sentence]
    assert (
        Audience.objects.count(),
        AudienceMember.objects.count(),
        AuditEvent.objects.exclude(action="log_in").count(),
    ) == (1, 0, 0)


def test_a_file_without_anybody_is_saved_as_nothing(desk: Client, program: MiniProgram) -> None:
    answer = posted(desk, program, b"openid\noNobody0000000000000000000\n", save="1")
    assert said(answer) == ["Nobody of this mini-program stands in the file, so nothing was saved."]
    assert (Audience.objects.count(), AuditEvent.objects.exclude(action="log_in").count()) == (0, 0)


# --- who may -------------------------------------------------------------------------------------------------------


def test_only_who_composes_audiences_uploads_and_only_with_a_token(
    program: MiniProgram, people: list[Subscriber], colleague: Colleague, at_desk: At
) -> None:
    content = people[0].openid.encode()
    viewer = at_desk(colleague("viewer"))
    assert (viewer.get(UPLOAD).status_code, posted(viewer, program, content, save="1").status_code) == (403, 403)
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(colleague("operator"))
    assert posted(forged, program, content, save="1").status_code == 403
    assert Audience.objects.count() == 0


def test_the_empty_list_has_the_heading_that_is_understood(desk: Client) -> None:
    answer = desk.get(reverse("admin:subscriptions_audience_template"))
    assert (answer.content.decode(), answer["Content-Disposition"]) == (
        "\ufeffopenid\r\n",
        'attachment; filename="openid.csv"',
    )


# --- hostile files -------------------------------------------------------------------------------------------------


def bomb() -> bytes:
    """An XLSX whose sheet is nothing but a great deal of nothing."""
    file = io.BytesIO()
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts, parts.open(sheet, "w", force_zip64=True) as part:
        for _ in range(40):
            part.write(b"\0" * 2**20)
    return file.getvalue()


MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHEET, STYLES, WORDS = "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/sharedStrings.xml"


def forged(put: dict[str, str], *, swap: tuple[str, str] = ("", ""), method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An XLSX with some of its parts replaced, and a word of its directory by another."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(excel("openid", "o"))) as good,
        zipfile.ZipFile(file, "w", method) as parts,
    ):
        for name in good.namelist():
            text = good.read(name).decode()
            is_directory = name in {"[Content_Types].xml", "xl/_rels/workbook.xml.rels"}
            parts.writestr(name, put.get(name) or (text.replace(*swap) if is_directory and swap[0] else text))
        for name in put.keys() - set(good.namelist()):
            parts.writestr(name, put[name])
    return file.getvalue()


def sheet(rows: str, *, around: str = "") -> dict[str, str]:
    return {SHEET: f"<worksheet {MAIN}>{around}<sheetData>{rows}</sheetData></worksheet>"}


# Each would cost a hundred times its size.
FAR_TOO_MUCH = {
    "a row without end": forged(sheet("<row>" + "<c/>" * 1_001 + "</row>")),
    "a cell of the last column": forged(sheet('<row r="1"><c r="XFD1"/></row>')),
    "a row of something else": forged(sheet("<row><c>" + "<a/>" * 10_001 + "</c></row>")),
    "a row within a row": forged(sheet("<row><row/></row>")),
    "elements before the rows": forged(sheet("", around="<a/>" * 50_001)),
    "rows of another language": forged(sheet('<row xmlns="urn:x"/>' * 50_001)),
    "a text of many megabytes": forged(sheet(f'<row><c t="inlineStr"><is><t>{"o" * 2**23}</t></is></c></row>')),
    "an attribute of many megabytes": forged(sheet(f'<row a="{"o" * 2**23}"/>')),
    "a formula shared by too many": forged(
        sheet(
            f'<row><c r="A1"><f t="shared" si="0" ref="A1:A999">{"1+" * 30_000}1</f></c></row>'
            + '<row><c><f t="shared" si="0"/></c></row>' * 200
        )
    ),
    "styles without end": forged({STYLES: f"<styleSheet {MAIN}>{'<xf/>' * 50_001}</styleSheet>"}),
    "styles of many megabytes": forged({STYLES: f"<styleSheet {MAIN}>{' ' * 5_000_000}</styleSheet>"}),
    "words under another name": forged(
        {"xl/words.xml": f"<sst {MAIN}>{'<si/>' * 50_001}</sst>"},
        swap=("/xl/sharedStrings.xml", "/xl/words.xml"),
    ),
    "a sheet that says it is words": forged({}, swap=("worksheet+xml", "sharedStrings+xml")),
    "a sheet that says it is a chart": forged({}, swap=('relationships/worksheet"', 'relationships/chartsheet"')),
    "a sheet that says it is both": forged(
        {}, swap=('relationships/worksheet"', 'relationships/worksheet" type="chartsheet"')
    ),
    "a document type": forged({SHEET: f"<!DOCTYPE worksheet><worksheet {MAIN}><sheetData/></worksheet>"}),
    "another way of packing": forged({}, method=zipfile.ZIP_LZMA),
}


@pytest.mark.parametrize("content", FAR_TOO_MUCH.values(), ids=FAR_TOO_MUCH)
def test_what_would_fill_the_memory_is_refused_before_it_is_built(
    program: MiniProgram, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_args, **_more: pytest.fail("it was built"))
    with pytest.raises(Refused) as refusal:
        uploads.check(io.BytesIO(content), name="a.xlsx", size=len(content), mini_program=program)
    assert refusal.value.code == "bomb"


@pytest.mark.parametrize("declared", ["A1", "A1:XFD1048576", "A1:A2"])
def test_the_size_a_sheet_declares_is_not_believed(
    program: MiniProgram, people: list[Subscriber], declared: str
) -> None:
    rows = "".join(f'<row><c t="inlineStr"><is><t>{one.openid}</t></is></c></row>' for one in people)
    content = forged(sheet(rows, around=f'<dimension ref="{declared}"/>'))
    report = uploads.check(io.BytesIO(content), name="a.xlsx", size=len(content), mini_program=program)
    assert (report.lines, report.good) == (3, 3)


def test_a_row_of_many_columns_and_many_rows_of_words_are_read(program: MiniProgram, people: list[Subscriber]) -> None:
    wide = excel([one.openid for one in people] + ["x"] * 600)
    tall = excel(people[0].openid, *(f"x{number:027d}" for number in range(30_000)))
    found = [
        uploads.check(io.BytesIO(content), name="a.xlsx", size=len(content), mini_program=program)
        for content in (wide, tall)
    ]
    assert [(report.lines, report.good) for report in found] == [(1, 1), (30_001, 1)]


OLD_EXCEL = "This is a file of an old Excel, or one with a password. Save it as .xlsx without one, or as .csv."
NO_TEXT = "This is no text file. Save the list as CSV or XLSX."
SPANS = "A cell of this file goes over several lines. Put one openid on each line."
BROKEN = "This Excel file is broken. Save it again, or as CSV."


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.csv", "The file is empty."),
        (b"o\0\1\2" * 50, "a.csv", NO_TEXT),
        (b"o" * 70_000 + b"\0", "a.csv", "A line of this file is much too long for a list of openids."),
        (b"x\n" * 40_000 + b"\0", "a.csv", NO_TEXT),
        (b'openid\n"o\no"\n', "a.csv", SPANS),
        (b"openid\n" + b'"\n' + b'x","\n' * 40_000, "a.csv", SPANS),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, "a.xls", OLD_EXCEL),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, "a.xlsx", OLD_EXCEL),
        (b"openid", "a.exe", "Only .csv and .xlsx files can be read."),
        (b"openid", "a", "Only .csv and .xlsx files can be read."),
        (excel("o"), "a.csv", "The name ends in .csv but this is no text. Is it an .xlsx?"),
        (b"openid", "a.xlsx", "The name ends in .xlsx but this is no Excel file. Is it a .csv?"),
        (b"PK\x03\x04" + b"x" * 600, "a.xlsx", BROKEN),
        (excel("o")[:-300], "a.xlsx", BROKEN),
        (bomb(), "a.xlsx", "This Excel file holds far too much for a list. Save the column of openids as CSV."),
    ],
    ids=[
        "empty", "binary", "long line", "binary later", "two lines", "all lines", "xls", "protected", "exe",
        "no ending", "xlsx as csv",
        "csv as xlsx", "no zip", "cut off", "bomb",
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_in_words(
    desk: Client, program: MiniProgram, content: bytes, name: str, sentence: str
) -> None:
    for button in ("check", "save"):
        assert said(posted(desk, program, content, name=name, **{button: "1"})) == [sentence]
    assert (Audience.objects.count(), AuditEvent.objects.exclude(action="log_in").count()) == (0, 0)


def test_too_many_lines_are_refused(desk: Client, program: MiniProgram, settings: Any) -> None:
    settings.LIST_MAX_ROWS = 3
    assert said(posted(desk, program, b"openid\na\nb\nc\nd\n", save="1")) == [
        "The file has more than 3 lines. Split it, and upload the parts one by one."
    ]


@pytest.mark.parametrize("length", [str(10 * 2**30), "9" * 30, "²"])
def test_a_request_that_is_too_large_is_refused_before_it_is_read(
    desk: Client, colleague: Colleague, length: str
) -> None:
    class Unread(io.BytesIO):
        def _refuse(self, *_args: Any) -> bytes:
            raise AssertionError("the body was read")

        read = readline = readinto = __next__ = _refuse  # type: ignore[assignment]

    class Wire(Client):
        """The test client puts its own body between a request and the wire."""

        def request(self, **request: Any) -> Any:
            return super().request(**request | {"wsgi.input": Unread()})

    wire = Wire(enforce_csrf_checks=True)
    wire.cookies = desk.cookies
    there = reverse("admin:jobs_sendjob_add")
    kinds = ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded")
    for kind in kinds:
        answer = wire.generic("POST", f"{UPLOAD}?next={there}", b"x", kind, CONTENT_LENGTH=length)
        assert (answer.status_code, answer.context["next"]) == (413, there)
        assert answer.context["refusal"] == "The file is larger than 64 MB. Split it, and upload the parts one by one."
