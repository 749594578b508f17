from __future__ import annotations

from barostat.config.key_lines import key_lines


def test_every_key_is_found_on_the_line_where_it_begins() -> None:
    text = '''# a comment
top = 1

[host]   # with a comment
reserve = "1GiB"
list = [
  "a", # [not.a.table]
  "b",
]
text = """
[nor.this]
key = 1
"""
[host.inner]
"quoted key" = { x = 1, y.z = 2 }
a.b = 3
'''

    assert key_lines(text) == {
        ("top",): 2,
        ("host",): 4,
        ("host", "reserve"): 5,
        ("host", "list"): 6,
        ("host", "text"): 10,
        ("host", "inner"): 14,
        ("host", "inner", "quoted key"): 15,
        ("host", "inner", "quoted key", "x"): 15,
        ("host", "inner", "quoted key", "y"): 15,
        ("host", "inner", "quoted key", "y", "z"): 15,
        ("host", "inner", "a"): 16,
        ("host", "inner", "a", "b"): 16,
    }


def test_line_ends_of_windows_count_like_others() -> None:
    assert key_lines("a = 1\r\nb = '''\r\nx\r\n'''\r\nc = 2\r\n") == {
        ("a",): 1,
        ("b",): 2,
        ("c",): 5,
    }


def test_an_empty_file_has_no_keys() -> None:
    assert key_lines("") == {}
