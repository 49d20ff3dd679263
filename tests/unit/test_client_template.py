"""Go's templates and tables. What real templates print is also held against the real client, in tests/engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidock.client.go_types import typed
from minidock.client.table import align, write
from minidock.client.template import Record, Template, TemplateError
from minidock.client.template_functions import to_json

DATA: dict[str, Any] = {
    "Name": "web",
    "Config": {"Env": ["A=b", "C=d"], "Labels": {"com.example": "x", "b": "y"}, "Nothing": None},
    "Mounts": [{"Source": "/a", "RW": True}, {"Source": "/b", "RW": False}],
    "Size": 12,
    "Empty": [],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Name}}", "web"),
        ("{{ .Config.Env }}", "[A=b C=d]"),
        ("{{.Config.Labels}}", "map[b:y com.example:x]"),
        ("{{.Config.Nothing}}", "<no value>"),
        ("{{.Size}} {{(index .Mounts 0).RW}}", "12 true"),
        ("{{json .Config.Labels}}", '{"com.example":"x","b":"y"}'),
        ("{{.Config.Env | json}}", '["A=b","C=d"]'),
        ("{{range .Mounts}}{{.Source}};{{end}}", "/a;/b;"),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.Source}}{{$.Name}}{{end}}", "0/aweb1/bweb"),
        ("{{range $name, $value := .Config.Labels}}{{$name}}={{$value}} {{end}}", "b=y com.example=x "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{range .Mounts}}{{if .RW}}{{continue}}{{end}}{{.Source}}{{end}}", "/b"),
        ("{{range .Mounts}}{{.Source}}{{break}}{{end}}", "/a"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{if .Empty}}yes{{else if eq .Name `web`}}web{{else}}no{{end}}", "web"),
        ("{{if and .Name (gt .Size 10) (not .Empty)}}yes{{end}}", "yes"),
        ("{{with .Config}}{{.Env}}{{else}}no{{end}}{{with .Empty}}x{{end}}", "[A=b C=d]"),
        ("{{with .Empty}}x{{else with .Name}}{{.}}{{end}}", "web"),
        ('{{index .Config.Labels "com.example"}}', "x"),
        ('{{index .Config.Labels "missing"}}', "<no value>"),
        ('{{join .Config.Env ", "}} {{upper .Name}} {{title .Name}} {{len .Config.Env}}', "A=b, C=d WEB Web 2"),
        ('{{split "a,b" ","}} {{slice .Name 1 2}} {{truncate .Name 2}} [{{pad .Name 1 2}}]', "[a b] e we [ web  ]"),
        ('{{printf "%s %d %q %v %05d %x%%" .Name .Size .Name .Empty .Size 255}}', 'web 12 "web" [] 00012 ff%'),
        ('{{print 1 2 "x" 3}} {{println .Name}}', "1 2x3 web\n"),
        ('{{$x := "a"}}{{if .Name}}{{$x = "b"}}{{end}}{{$x}}', "b"),
        ('{{define "x"}}[{{.}}{{$}}]{{end}}{{template "x" .Name}}{{template "x"}}', "[webweb][<no value><no value>]"),
        ('{{block "x" .Name}}<{{.}}>{{end}}{{template "x" 1}}', "<web><1>"),
        ('{{html `<a href="x">`}} {{js `\'<`}} {{urlquery `a b&`}}', "&lt;a href=&#34;x&#34;&gt; \\'\\u003C a+b%26"),
        ("{{0x1f}} {{017}} {{1_000}} {{0b11}} {{.5}} {{1e6}} {{'a'}} {{`\\n`}}", "31 15 1000 3 0.5 1e+06 97 \\n"),
        ("a {{- .Name -}} b {{/* no word */}}{{- /* nor this */ -}} c", "awebb c"),
        (
            '{{or .Empty .Name}} {{and .Empty .Empty.Name}} {{eq .Size 11 12}} {{ne 1 2}} {{lt "a" "b"}}',
            "web [] true true true",
        ),
    ],
)
def test_a_template_renders_as_in_go(template: str, text: str) -> None:
    """The language, piece by piece."""
    assert Template(template).render(DATA) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Name", "template: :1: unclosed action"),
        ("{{foo}}", 'template: :1: function "foo" not defined'),
        ("x\n{{foo .Name}}", 'template: :2: function "foo" not defined'),
        ("{{if .Name}}", "template: :1: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ("{{}}", "template: :1: missing value for command"),
        ("{{if}}x{{end}}", "template: :1: missing value for if"),
        ('{{"x}}', "template: :1: unterminated quoted string"),
        ("{{(.Name}}", "template: :1: unclosed left paren"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{if $x := 1}}{{end}}{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
        ('{{define "a"}}x', "template: :1: unexpected EOF"),
        ('{{if 1}}{{define "a"}}{{end}}{{end}}', "template: :1: unexpected <define> in command"),
        ("{{template .Name}}", 'template: :1: unexpected ".Name" in template clause'),
        ('{{define "a"}}{{end}}{{define "a"}}{{end}}', 'template: :1: template: multiple definition of template "a"'),
        ("{{1 | 2}}", "template: :1: non executable command in pipeline stage 2"),
        ("{{/* x }}", "template: :1: unclosed comment"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_in_gos_words(template: str, message: str) -> None:
    """Before anything is rendered."""
    with pytest.raises(TemplateError) as caught:
        Template(template)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Foo}}", '1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.Config.Foo}}", '1:9: executing "" at <.Config.Foo>: map has no entry for key "Foo"'),
        ("\n {{.Name.Foo}}", '2:8: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type string'),
        ("{{.Name true}}", '1:2: executing "" at <.Name>: Name is not a method but has arguments'),
        ("{{index .Mounts 5}}", '1:2: executing "" at <index .Mounts 5>: error calling index: index out of range: 5'),
        ("{{$x = 1}}", '1:7: executing "" at <1>: undefined variable: $x'),
        ("{{lt 1 1.0}}", '1:2: executing "" at <lt 1 1.0>: error calling lt: incompatible types for comparison'),
        ("{{not 1 2}}", '1:2: executing "" at <not>: wrong number of args for not: want 1 got 2'),
        ("{{title 3}}", '1:8: executing "" at <3>: expected string; found 3'),
        ("{{title .Size}}", '1:8: executing "" at <.Size>: wrong type for value; expected string; got int'),
        ('{{template "x"}}', '1:11: executing "" at <{{template "x"}}>: template "x" not defined'),
        (
            '{{define "x"}}{{.Foo}}{{end}}\n{{template "x" .}}',
            '1:16: executing "x" at <.Foo>: map has no entry for key "Foo"',
        ),
        ("{{call .Name}}", '1:2: executing "" at <call .Name>: error calling call: non-function .Name of type string'),
    ],
)
def test_what_cannot_be_rendered_says_where(template: str, message: str) -> None:
    """Line, column, the piece of the template, and why."""
    with pytest.raises(TemplateError) as caught:
        Template(template).render(DATA)
    assert str(caught.value) == f"template: :{message}"


def test_a_records_field_may_be_a_method() -> None:
    """``{{.Label "x"}}`` of ``docker ps``; a field that a record lacks names the record's type."""
    record = Record(Label=lambda name: name.upper())
    assert Template('{{.Label "x"}}').render(record) == "X"
    with pytest.raises(TemplateError, match="can't evaluate field Foo in type struct"):
        Template("{{.Foo}}").render(record)


def test_go_has_three_kinds_of_nothing() -> None:
    """A null prints as its Go type does, is false, and is null in JSON; an optional field is no error."""
    data = typed({"Config": {"Volumes": None, "Env": None}, "HostConfig": {}}, "container.InspectResponse")
    text = "{{.Config.Volumes}} {{.Config.Env}} {{.HostConfig.Init}} {{if .State}}x{{end}}{{json .Config.Volumes}}"
    assert Template(text).render(data) == "map[] [] <nil> null"


def test_an_endless_template_is_refused() -> None:
    """It names itself."""
    with pytest.raises(TemplateError, match="exceeded maximum template depth"):
        Template('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}').render(None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_json(value: Any) -> None:
    """What ``{{json .}}`` prints, a JSON parser reads back."""
    assert json.loads(Template("{{json .}}").render(value)) == value


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_outside_braces_is_left_alone(text: str) -> None:
    """Whatever it is."""
    assert Template(text).render(None) == text


def test_rows_as_json_are_escaped_as_go_escapes_structs() -> None:
    """``docker images --format json`` says ``\\u003cnone\\u003e``."""
    assert to_json(Record(Tag="<none>", Digest="a&b")) == '{"Digest":"a\\u0026b","Tag":"\\u003cnone\\u003e"}'


HEADINGS = Record(ID="CONTAINER ID", Names="NAMES")
ROWS = [Record(ID="1f2e", Names="web"), Record(ID="3d4c", Names="a-longer-name")]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", "CONTAINER ID   NAMES\n1f2e           web\n3d4c           a-longer-name\n"),
        ("table", "CONTAINER ID   NAMES\n1f2e           web\n3d4c           a-longer-name\n"),
        (
            "table {{.Names}}\\t{{upper .ID}}",
            "NAMES           CONTAINER ID\nweb             1F2E\na-longer-name   3D4C\n",
        ),
        ("{{.ID}}\\t{{.Names}}", "1f2e\tweb\n3d4c\ta-longer-name\n"),
        ("json", '{"ID":"1f2e","Names":"web"}\n{"ID":"3d4c","Names":"a-longer-name"}\n'),
    ],
)
def test_a_list_has_every_form(form: str, text: str) -> None:
    """Columns, columns of one's own, a line each, JSON."""
    assert write(list(ROWS), HEADINGS, form, "{{.ID}}\t{{.Names}}") == text


def test_an_empty_list_is_its_heading() -> None:
    """Ten wide at least, as Docker's."""
    assert write([], HEADINGS, "", "{{.Names}}\t{{.ID}}") == "NAMES     CONTAINER ID\n"


@pytest.mark.parametrize("form", ["{{.ID", "{{.Foo}}"])
def test_a_wrong_format_is_named_as_such(form: str) -> None:
    """Whether it cannot be parsed or cannot be executed."""
    with pytest.raises(TemplateError, match="template parsing error: template: :1"):
        write(list(ROWS), HEADINGS, form, "")


CELLS = st.lists(st.lists(st.text("abc", max_size=15), min_size=3, max_size=3), min_size=1, max_size=6)


@given(CELLS)
def test_columns_line_up(lines: list[list[str]]) -> None:
    """Each cell begins where the others of its column begin, with three spaces at least before it."""
    aligned = align("".join("\t".join(cells) + "\n" for cells in lines)).split("\n")
    widths = [max(10, *(len(cells[column]) + 3 for cells in lines)) for column in (0, 1)]
    for cells, line in zip(lines, aligned, strict=False):
        assert line == cells[0].ljust(widths[0]) + cells[1].ljust(widths[1]) + cells[2]
