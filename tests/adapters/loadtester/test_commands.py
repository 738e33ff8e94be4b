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
        ("k6 run /scripts/a*.js", ("k6", "run", "/scripts/a*.js")),
        ("hey http://x -m '#'", ("hey", "http://x", "-m", "#")),
    ],
)  # fmt: skip
def test_reads_arguments_as_a_shell_would(text: str, arguments: tuple[str, ...]) -> None:
    command = parse_command("web.prod", text)

    assert (command.program, *(word.text for word in command.words)) == arguments


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
        ("curl --header abc -u me:pass http://x", "curl --header '***' -u '***' http://x"),
        ("curl -sHabc http://x", "curl '-sH***' http://x"),
        ("wrk --header=abc http://x", "wrk '--header=***' http://x"),
        ("hey --a=me:pass http://x", "hey '--a=***' http://x"),
        ("curl http://me:pass@x:80/a", "curl 'http://***@x:80/a'"),
        ("curl --url http://me@x/", "curl --url 'http://***@x/'"),
        ("curl 'http://x/a?token=abc#b'", "curl 'http://x/a?***'"),
        ("curl -b a=b -d password=abc http://x", "curl -b '***' -d '***' http://x"),
        ("hey -a me:pass -host x http://x", "hey -a '***' -host x http://x"),
        ("curl -H -H http://x", "curl -H '***' http://x"),
    ],
)
def test_shows_no_credentials(text: str, shown: str) -> None:
    assert parse_command("web.prod", text).shown == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("curl -o /tmp/x.lua http://x", "curl: '/tmp/x.lua' may not be used: it is /dev/null or -"),
        ("curl -so/tmp/x http://x", "curl: '-so/tmp/x' may not be used: it is /dev/null or -"),
        ("curl -O http://x/x.lua", "curl: the option '-O' may not be used; these may: "),
        ("curl --output-dir /tmp http://x", "curl: the option '--output-dir' may not be used"),
        ("curl --outpu /tmp/x http://x", "curl: the option '--outpu' may not be used"),
        ("curl -D /tmp/x http://x", "curl: the option '-D' may not be used"),
        ("curl -c /tmp/x http://x", "curl: the option '-c' may not be used"),
        ("curl --trace /tmp/x http://x", "curl: the option '--trace' may not be used"),
        ("curl -K /tmp/x", "curl: the option '-K' may not be used"),
        ("curl -sK/tmp/x", "curl: the option '-K' may not be used"),
        ("curl -T /etc/passwd http://x", "curl: the option '-T' may not be used"),
        ("curl -F a=@/etc/passwd http://x", "curl: the option '-F' may not be used"),
        ("curl -d @/etc/passwd http://x", "curl: '***' may not be used: it is a text"),
        ("curl -H @/etc/passwd http://x", "curl: '***' may not be used: it is a text"),
        ("curl --data-urlencode a@/etc/passwd http://x", "curl: '***' may not be used: it is name"),
        ("curl -b /etc/passwd http://x", "curl: '***' may not be used: it is name=value"),
        ("curl -w @/etc/passwd http://x", "curl: '@/etc/passwd' may not be used: it is a format"),
        ("curl -w '%output{/tmp/x}a' http://x", "curl: '%output{/tmp/x}a' may not be used"),
        ("curl file:///etc/passwd", "curl: 'file:///etc/passwd' may not be used: it is a URL that"),
        ("curl FILE:///etc/passwd", "curl: 'FILE:///etc/passwd' may not be used"),
        ("curl file:/etc/passwd", "curl: 'file:/etc/passwd' may not be used"),
        ("curl --url file:///etc/passwd", "curl: 'file:///etc/passwd' may not be used"),
        ("curl '{file,http}:///etc/passwd'", "curl: '{file,http}:///etc/passwd' may not be used"),
        ("curl ftp.example.com", "curl: 'ftp.example.com' may not be used"),
        ("curl --proto =file http://x", "curl: the option '--proto' may not be used"),
        ("curl -x http://y http://x", "curl: the option '-x' may not be used"),
        ("curl --unix-socket /run/x http://x", "curl: the option '--unix-socket' may not be used"),
        ("curl http://x -: -o /tmp/x http://y", "curl: the option '-:' may not be used"),
        ("curl -v -u a:b http://x", "curl: the option '-v' may not be used"),
        ("curl -- -o", "curl: the option '--' may not be used"),
        ("curl - http://x", "curl: the option '-' may not be used"),
        ("curl http://x -H", "curl: -H needs a value"),
        ("wrk -s /tmp/x.lua http://x", "wrk: '/tmp/x.lua' may not be used: it is the full path of"),
        ("wrk -s/tmp/x.lua http://x", "wrk: '-s/tmp/x.lua' may not be used"),
        ("wrk --script=/tmp/x http://x", "wrk: '--script=/tmp/x' may not be used"),
        ("wrk --scr /scripts/x http://x", "wrk: the option '--scr' may not be used"),
        ("wrk -s /scripts/../tmp/x.lua http://x", "wrk: '/scripts/../tmp/x.lua' may not be used"),
        ("wrk -s ./x.lua http://x", "wrk: './x.lua' may not be used"),
        ("wrk -s a/x.lua http://x", "wrk: 'a/x.lua' may not be used"),
        ("wrk -s .. http://x", "wrk: '..' may not be used"),
        ("k6 run ../x.js", "k6: '../x.js' may not be used"),
        ("k6 run .x.js", "k6: '.x.js' may not be used"),
        ("k6 run --address=:80 /scripts/x.js", "k6: the option '--address' may not be used"),
        ("ghz --proto=a/b.proto x:9000", "ghz: '--proto=a/b.proto' may not be used"),
        ("hey -D /etc/passwd http://x", "hey: the option '-D' may not be used"),
        ("hey --D=/etc/passwd http://x", "hey: the option '-D' may not be used"),
        ("hey -x y:80 http://x", "hey: the option '-x' may not be used"),
        ("hey file:///etc/passwd", "hey: 'file:///etc/passwd' may not be used"),
        ("k6 run https://example.com/x.js", "k6: 'https://example.com/x.js' may not be used"),
        ("k6 run -", "k6: the option '-' may not be used"),
        ("k6 archive /scripts/x.js", "k6: only k6 run may be used"),
        ("k6 run -o json=/tmp/x /scripts/x.js", "k6: the option '-o' may not be used"),
        ("ghz --config=/tmp/x x:9000", "ghz: the option '--config' may not be used"),
        ("ghz --proto=/tmp/x x:9000", "ghz: '--proto=/tmp/x' may not be used"),
        ("ghz -d @ x:9000", "ghz: '***' may not be used"),
        ("curl me:pass@x", "curl: '***@x' may not be used: it is a URL that"),
        ("curl ftp://me:pass@x", "curl: 'ftp://***@x' may not be used: it is a URL that"),
        ("ghz me:pass@x:80", "ghz: '***@x:80' may not be used: it is host:port"),
        ("ghz @/tmp/x", "ghz: '***@/tmp/x' may not be used: it is host:port"),
    ],
)  # fmt: skip
def test_neither_reads_nor_writes_files_and_speaks_http_alone(text: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_command("web.prod", text)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "curl -sSfL -o /dev/null -w '%{http_code}' -m 5 http://x",
        "curl -sd 'test' http://podinfo-canary.test/token",
        "curl -X POST -H 'Content-Type: application/json' --json '{}' --retry 3 https://x",
        "hey -z 1m -q 10 -c 2 -h2 -host a.b -m POST -d 'a' -T text/plain http://x",
        "hey -disable-keepalive=true --z=5s http://x",
        "wrk -t2 -c 4 -d 30s --latency --timeout 2s -s /scripts/a.lua http://x",
        "k6 run --vus 10 -d 30s -e HOST=x --quiet /scripts/a/b.js",
        "ghz -z 1m -q 10 -c 2 --insecure podinfo.test:9898",
        "ghz --proto=/scripts/h.proto --call=grpc.health.v1.Health/Check -d '{}' [::1]:9898",
    ],
)
def test_takes_what_load_tests_need(text: str) -> None:
    assert parse_command("web.prod", text).text == text


def test_curl_is_told_to_read_no_options_and_to_speak_http_alone() -> None:
    assert parse_command("web.prod", "curl http://x").arguments == (
        *("-q", "--proto", "=http,https", "--proto-redir", "=http,https"),
        "http://x",
    )


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("k6 run x.js", ("run", "--address=", "/scripts/x.js")),
        ("k6 run -e A=b /scripts/x.js", ("run", "--address=", "-e", "A=b", "/scripts/x.js")),
        ("wrk -s x.lua http://x", ("-s", "/scripts/x.lua", "http://x")),
        ("wrk -sx.lua http://x", ("-s/scripts/x.lua", "http://x")),
        ("ghz --proto=a.proto x:9000", ("--proto=/scripts/a.proto", "x:9000")),
    ],
)
def test_a_script_s_name_alone_is_one_of_the_admin_s_folder(
    text: str, given: tuple[str, ...]
) -> None:
    assert parse_command("web.prod", text, scripts="/scripts/").arguments == given


@pytest.mark.parametrize("rate", [("-q", "10"), ("-q10",)])
def test_ghz_is_told_a_rate_as_flagger_s_documents_have_it(rate: tuple[str, ...]) -> None:
    command = parse_command("web.prod", f"ghz -z 1m {' '.join(rate)} --insecure podinfo.test:9898")

    renamed = ["-r", "10"] if len(rate) > 1 else ["-r10"]
    assert command.arguments == ("-z", "1m", *renamed, "--insecure", "podinfo.test:9898")


def test_a_report_is_shown_without_what_the_command_was_given() -> None:
    command = parse_command(
        "web.prod", "curl -H 'Authorization: Bearer abc.def' -u me:secret-1 http://a:secret-2@x"
    )

    assert command.masked("Bearer abc.def, secret-1 secret-2 me:secret-1; http://x") == (
        "***, *** *** ***; http://x"
    )
