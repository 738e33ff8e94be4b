"""What may run, and what a hook's author reads when it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtester.commands import PROGRAMS, CommandError, parse_command


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (
            "hey -z 1m -q 10 -c 2 http://web-canary.prod:80/",
            ("hey", "-z", "1m", "-q", "10", "-c", "2", "http://web-canary.prod:80/"),
        ),
        ("  curl -s http://x/?a=1  \n", ("curl", "-s", "http://x/?a=1")),
        ("curl 'http://x/?a=1&b=2'", ("curl", "http://x/?a=1&b=2")),
        ('curl -d "a|b;c" http://x', ("curl", "-d", "a|b;c", "http://x")),
        (r'curl -d "{\"a\": 1}" http://x', ("curl", "-d", '{"a": 1}', "http://x")),
        ("curl -d '$(id) `id` $HOME' http://x", ("curl", "-d", "$(id) `id` $HOME", "http://x")),
        (r"curl -d \$HOME\;\| http://x", ("curl", "-d", "$HOME;|", "http://x")),
        ("hey -z 1m \\\n  http://x", ("hey", "-z", "1m", "http://x")),
        ("wrk -t2 http://x/$", ("wrk", "-t2", "http://x/$")),
        ("k6 run /tests/a*.js", ("k6", "run", "/tests/a*.js")),
        ("ghz x:9000 # no comment", ("ghz", "x:9000", "#", "no", "comment")),
    ],
)  # fmt: skip
def test_reads_arguments_as_a_shell_would(text: str, arguments: tuple[str, ...]) -> None:
    assert parse_command("web.prod", text).arguments == arguments


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("curl http://x | grep ok", "|"),
        ("curl http://x || true", "||"),
        ("curl http://x; id", ";"),
        ("curl http://x && id", "&&"),
        ("curl http://x/?a=1&b=2", "&"),
        ("curl http://x > /tmp/x", ">"),
        ("curl http://x 2>&1", ">"),
        ("curl -d @- http://x < /etc/passwd", "<"),
        ("curl $(id)", "$("),
        ("curl ${HOME}", "${"),
        ("curl $HOME", "$H"),
        ("curl `id`", "`"),
        ('curl "$(id)"', "$("),
        ('curl "`id`"', "`"),
        ('curl "$HOME"', "$H"),
        (r'curl "\$HOME"', "\\$"),
        (r'curl "\`id\`"', "\\`"),
        ('curl "a" "b$HOME"', "$H"),
        ("curl 'a'$HOME", "$H"),
        ("(curl http://x)", "("),
        ("curl http://x\nid", "\n"),
    ],
)
def test_needs_no_shell_and_says_so(text: str, syntax: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command("web.prod", text)

    assert str(caught.value) == (
        f"{syntax!r} is for a shell: a command is one of hey, wrk, k6, curl, ghz with its "
        "arguments, and no shell; put quotes around it where it belongs to an argument"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the command is empty"),
        ("   ", "the command is empty"),
        ("curl 'http://x", "the command cannot be read (No closing quotation)"),
        ("bash -c id", "'bash' may not run"),
        ("/usr/bin/hey http://x", "'/usr/bin/hey' may not run"),
        ("./hey http://x", "'./hey' may not run"),
        ("A=1 hey http://x", "'A=1' may not run"),
        ("x" * 5000, "'" + "x" * 60 + "' may not run"),
    ],
)
def test_runs_nothing_else(text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command("web.prod", text)

    assert str(caught.value).startswith(message)
    assert "one of hey, wrk, k6, curl, ghz with its arguments" in str(caught.value)


@given(st.text(alphabet="hey \"'\\$(){}|&;<>`\n#~*x-"))
def test_any_text_is_a_command_of_the_list_or_an_error(text: str) -> None:
    try:
        command = parse_command("web.prod", text)
    except CommandError:
        return
    assert command.program in PROGRAMS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hey -z 1m http://x", "hey -z 1m http://x"),
        ("curl -H 'Authorization: Bearer abc' http://x", "curl -H '***' http://x"),
        ("curl -HAuthorization:abc http://x", "curl '-H***' http://x"),
        ("curl --header=abc -u me:pass http://x", "curl '--header***' -u '***' http://x"),
        ("hey -a me:pass -host x http://x", "hey -a '***' -host x http://x"),
        ("curl -H -H http://x", "curl -H '***' http://x"),
    ],
)
def test_shows_no_credentials(text: str, shown: str) -> None:
    assert parse_command("web.prod", text).shown == shown
