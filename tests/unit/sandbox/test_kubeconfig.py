"""The kubeconfig holds what a client needs, and an older cluster is refused."""

import base64
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from sandbox import control_plane, dns, external, pki


def test_kubeconfig_carries_its_certificates(tmp_path: Path) -> None:
    for name in ("ca.crt", "admin.crt", "admin.key"):
        (tmp_path / name).write_text(name)
    paths = [tmp_path / name for name in ("ca.crt", "admin.crt", "admin.key")]
    config = yaml.safe_load(control_plane.kubeconfig("https://127.0.0.1:1", *paths))
    assert config["current-context"] == config["contexts"][0]["name"]
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    user = config["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == b"admin.key"


def test_certificates_name_user_group_and_addresses(tmp_path: Path) -> None:
    identity = pki.Identity("kubelet", "system:node:n", "system:nodes", ("n", "10.0.0.1"))
    pki.create(tmp_path, (identity,))
    certificate = x509.load_pem_x509_certificate((tmp_path / "kubelet.crt").read_bytes())
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert certificate.subject.rfc4514_string() == "O=system:nodes,CN=system:node:n"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["n"]
    assert (tmp_path / "kubelet.key").stat().st_mode & 0o077 == 0


def test_certificates_are_made_once(tmp_path: Path) -> None:
    pki.create(tmp_path, ())
    before = (tmp_path / "ca.crt").read_bytes()
    pki.create(tmp_path, ())
    assert (tmp_path / "ca.crt").read_bytes() == before


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v1.36.3", (1, 36)), ("v1.30.4-eks-a737599", (1, 30)), ("1.29", (1, 29))],
)
def test_versions_of_clusters(version: str, expected: tuple[int, int]) -> None:
    assert external.parse_version(version) == expected


def test_dns_answer_must_be_to_our_question_and_hold_an_address() -> None:
    asked = dns.question("web.prod", 7)
    assert asked.endswith(b"\x03web\x04prod\x00\x00\x01\x00\x01")
    assert dns.answered(dns.HEADER.pack(7, 0x8180, 1, 1, 0, 0), 7)
    assert not dns.answered(dns.HEADER.pack(8, 0x8180, 1, 1, 0, 0), 7)
    assert not dns.answered(dns.HEADER.pack(7, 0x8183, 1, 1, 0, 0), 7)
    assert not dns.answered(dns.HEADER.pack(7, 0x8180, 1, 0, 0, 0), 7)
    assert not dns.answered(b"", 7)
