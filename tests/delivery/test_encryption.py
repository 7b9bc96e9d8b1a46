"""Encryption: what GnuPG encrypted is decrypted by Sequoia; certificates that cannot be used are refused by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pysequoia
import pytest
from small_project import AT, DAY, make_project

from delivery import run as runner
from delivery.config.integrations_file import Integrations
from delivery.config.project import Project
from delivery.errors import ConfigError, ExitCode, WriteFailed
from delivery.files import openpgp, spool
from delivery.files.nameless import Nameless
from delivery.files.openpgp import check_certificates, encrypt
from delivery.files.writer import NewFile
from delivery.forecast import plan
from delivery.handing_over import HandingOver
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.warehouse.rows import OutOfOrder

if TYPE_CHECKING:
    from delivery.config.integrations import Integration
    from delivery.files.parts import Part

KEY = pysequoia.Tsk.generate("Acme <acme@example.com>")
LATER = "20200101T001000"  # a slow machine makes a key seconds after the time that it is told


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates, named for what is wrong with them. An agent's socket needs a short path."""
    folder, home = tmp_path_factory.mktemp("certificates"), tempfile.mkdtemp(dir="/tmp")

    def gpg(*arguments: str, at: str = "20200101T000000", answers: str | None = None) -> bytes:
        quiet = ["--batch"] if answers is None else ["--no-tty", "--command-fd", "0"]
        common = ["--homedir", home, *quiet, "--pinentry-mode", "loopback", "--passphrase", ""]
        return subprocess.run(
            ["gpg", *common, "--faked-system-time", at, *arguments],
            input=(answers or "").encode(), check=True, capture_output=True,
        ).stdout  # fmt: skip

    def made(name: str, usage: str, expires: str, subkey: str | None = None) -> str:
        gpg("--quick-gen-key", f"{name}@example.com", "ed25519", usage, expires)
        lines = gpg("--list-keys", "--with-colons", f"{name}@example.com").decode().splitlines()
        fingerprint = next(line.split(":")[9] for line in lines if line.startswith("fpr"))
        if subkey:
            gpg("--quick-add-key", fingerprint, "cv25519", "encr", subkey, at=LATER)
        return fingerprint

    try:
        for name, usage, expires, subkey in [
            ("fine", "cert", "0", "0"),
            ("expired", "cert", "1y", "0"),
            ("signs", "sign", "0", None),
            ("subkey expired", "cert", "0", "1y"),
            ("subkey revoked", "cert", "0", "0"),
        ]:
            mark = made(name.replace(" ", "-"), usage, expires, subkey)
            if name == "subkey revoked":
                gpg("--edit-key", mark, answers="key 1\nrevkey\ny\n0\n\ny\nsave\n", at=LATER)
            (folder / name).write_bytes(gpg("--export", mark))
            if name == "fine":
                (folder / "secret").write_bytes(gpg("--export-secret-keys", mark))
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)
    certificate = KEY.extract_certificate()
    (folder / "armored").write_text(str(certificate))
    (folder / "binary").write_bytes(bytes(certificate))
    revocation = bytes(certificate.revoke(KEY.certifier()))
    (folder / "revoked").write_bytes(bytes(pysequoia.Cert.from_bytes(bytes(certificate) + revocation)))
    (folder / "two").write_bytes((folder / "fine").read_bytes() + bytes(certificate))
    (folder / "no certificate").write_text("hello")
    return folder


@pytest.mark.parametrize("name", ["armored", "binary", "fine"])
def test_certificates_that_can_be_used(name: str, certificates: Path) -> None:
    check_certificates([certificates / name])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("expired", r"expired on 20(20-12-31|21-01-01)"),
        ("subkey expired", r"has a key for encryption that expired on 20(20-12-31|21-01-01)"),
        ("revoked", "was revoked"),
        ("subkey revoked", "has only a revoked key for encryption"),
        ("signs", "can only sign: it has no key for encryption"),
        ("secret", "holds a secret key"),
        ("two", "holds several certificates"),
        ("no certificate", "is not an OpenPGP certificate"),
        ("missing", "cannot be read: No such file or directory"),
    ],
)
def test_other_certificates_are_refused_by_name(name: str, reason: str, certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        check_certificates([certificates / name])
    assert "Ask the client" in refused.value.hint
    (tmp_path / "plain").write_bytes(b"x")
    with pytest.raises(ConfigError, match=reason), (tmp_path / "plain").open("rb") as source:
        encrypt(source, tmp_path / "f.pgp", [certificates / name])
    assert not (tmp_path / "f.pgp").exists()


@pytest.mark.parametrize("name", ["expired", "subkey expired", "revoked", "subkey revoked", "signs", "secret"])
def test_gnupg_itself_refuses_what_was_not_noticed(
    name: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery.files.openpgp.check_certificates", lambda paths: None)
    (tmp_path / "plain").write_bytes(os.urandom(1 << 22))
    with pytest.raises(WriteFailed, match="could not be encrypted"), (tmp_path / "plain").open("rb") as source:
        encrypt(source, tmp_path / "f.pgp", [certificates / name])
    assert not (tmp_path / "f.pgp").exists()


def test_gnupg_that_is_missing_is_named(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="needs gpg"):
        check_certificates([certificates / "fine"])


def open_files(folder: Path) -> list[str]:
    """What this process has open in the folder, as the kernel names it."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.startswith(str(folder))]


def test_files_without_a_name_lie_one_after_the_other(tmp_path: Path) -> None:
    """Read as often as one likes, each for itself; an empty one, too; what was cut is not in the way."""
    contents = [b"a" * 70_001, b"", os.urandom(3_000_001), b"b"]
    with closing(Nameless(tmp_path)) as plain:
        with plain.next(tmp_path / "f") as disk:
            disk.write(b"rows that are out of order")
        plain.cut(0)
        places = []
        for content in contents:
            places.append((plain.size, len(content)))
            with plain.next(tmp_path / "f") as disk:
                disk.write(content)
        for _ in range(2):
            assert [plain.read(*place).read() for place in places] == contents
        assert list(tmp_path.iterdir()) == []
        assert len(open_files(tmp_path)) == 1
    assert open_files(tmp_path) == []


def test_a_full_disk_is_said_without_a_name_too(tmp_path: Path) -> None:
    program = f"""
import resource, signal
from pathlib import Path
from delivery.errors import WriteFailed
from delivery.files.nameless import Nameless
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
plain = Nameless(Path({str(tmp_path)!r}))
for size in (900_000, 200_000):
    try:
        with plain.next(Path("daily.csv.pgp")) as disk:
            disk.write(b"a" * size)
    except WriteFailed as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "daily.csv.pgp could not be written: File too large.\n"
    with pytest.raises(WriteFailed, match="gone could not be written: No such file or directory"):
        Nameless(tmp_path / "gone")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Path) -> Project:
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root)
    shutil.copy(certificates / "armored", root / "acme.asc")
    monkeypatch.setenv("SWEEP_PASSWORD", "not needed")
    keys = "destination: {type: hosted}\n    encryption: openpgp\n    public_key: acme.asc\n    compression: gzip"
    text = (root / "integrations.yml").read_text().replace("destination: {type: hosted}", keys)
    (root / "integrations.yml").write_text(text)
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")


def deliver(project: Project) -> runner.Outcome:
    (outcome,) = runner.run(project, Request(at=AT, window=DAY, integrations=("by_share",)), Watch())
    return outcome


def test_a_file_is_delivered_encrypted_and_decrypts(project: Project) -> None:
    outcome = deliver(project)
    assert (outcome.state, outcome.message) == ("delivered", "")
    folder = project.share / "acme_outdoor" / "inbox"
    file = folder / f"daily_{DAY}.csv.gz.pgp"
    assert sorted(path.name for path in folder.iterdir()) == [file.name, f"{file.name}.manifest.json"]
    plain = pysequoia.decrypt(decryptor=KEY.decryptor(), bytes=file.read_bytes()).bytes
    assert plain is not None
    unpacked = subprocess.run(["gzip", "-dc"], input=plain, capture_output=True, check=True).stdout
    assert unpacked.count(b"@example.com") == 600
    (entry,) = json.loads((folder / f"{file.name}.manifest.json").read_bytes())["files"]
    assert entry["plain_sha256"] == hashlib.sha256(unpacked).hexdigest()
    assert entry["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == outcome.files[0].sha256
    assert stat.S_IMODE(file.stat().st_mode) == 0o640  # for the group of the share


def test_plain_rows_never_lie_under_a_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after each batch that is written, and when it is encrypted."""
    seen: set[str] = set()
    hidden: list[str] = []
    encrypt, add = spool.encrypt, NewFile.add

    def look() -> None:
        hidden.extend(open_files(project.state / "spool"))
        for path in (p for p in (project.state / "spool").rglob("*") if p.is_file()):
            seen.add(path.suffix)
            content = path.read_bytes()
            assert not content.startswith(b"\x1f\x8b"), "gzip"
            assert b"example.com" not in content

    def adding(file: NewFile, *arguments: Any) -> None:
        add(file, *arguments)
        look()

    def encrypting(*arguments: Any, **how: Any) -> Any:
        look()
        done = encrypt(*arguments, **how)
        look()
        return done

    monkeypatch.setattr(spool, "encrypt", encrypting)
    monkeypatch.setattr(NewFile, "add", adding)
    assert deliver(project).state == "delivered"
    assert seen == {".pgp"}
    assert hidden
    assert all(name.endswith("(deleted)") for name in hidden)
    assert open_files(project.state / "spool") == []
    assert not list((project.state / "spool").iterdir())


def test_a_table_out_of_stored_order_is_written_once_when_it_is_encrypted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before that was seen is not in the file, nor in the way of its parts."""
    text = project.integrations_file.read_text()
    project.integrations_file.write_text(text.replace("compression: gzip", "split: {rows: 250}"))
    tried: list[bool] = []
    real = spool.read

    def out_of_order(engine: Any, selection: Any, *, ordered: bool) -> Any:
        tried.append(ordered)
        rows = real(engine, selection, ordered=ordered)
        yield from rows
        if not ordered:
            raise OutOfOrder

    monkeypatch.setattr(spool, "read", out_of_order)
    sizes: list[int] = []
    encrypt = spool.encrypt

    def encrypting(source: Any, *arguments: Any, **how: Any) -> Any:
        sizes.extend(os.stat(f"/proc/self/fd/{n}").st_size for n in plain_descriptors(project))  # noqa: PTH116
        return encrypt(source, *arguments, **how)

    monkeypatch.setattr(spool, "encrypt", encrypting)
    outcome = deliver(project)
    assert (outcome.state, tried) == ("delivered", [False, True])
    folder = project.share / "acme_outdoor" / "inbox"
    parts = [
        pysequoia.decrypt(decryptor=KEY.decryptor(), bytes=(folder / file.name).read_bytes()).bytes or b""
        for file in outcome.files
        if file.role == "data"
    ]
    assert [part.count(b"@example.com") for part in parts] == [250, 250, 100]
    assert {*sizes} == {sum(map(len, parts))}


def plain_descriptors(project: Project) -> list[str]:
    spools = str(project.state / "spool")
    return [
        found.name
        for found in Path("/proc/self/fd").iterdir()
        if found.is_symlink() and str(found.readlink()).startswith(spools) and "(deleted)" in str(found.readlink())
    ]


def test_what_was_not_proven_is_not_encrypted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit turns after it was read back."""
    encrypted = spool._encrypted

    def spoil(part: Part, how: Integration) -> Part:
        with part.opened() as opened:
            content = bytearray(opened.read())
        content[100] ^= 1
        return encrypted(replace(part, hidden=lambda: io.BytesIO(content)), how)

    monkeypatch.setattr(spool, "_encrypted", spoil)
    outcome = deliver(project)
    assert (outcome.state, outcome.delivery.state) == ("failed", "planned")
    assert "changed before it was encrypted" in outcome.message
    assert not list((project.state / "spool").iterdir())


@pytest.mark.parametrize("name", ["expired", "revoked", "signs", "secret"])
def test_a_bad_certificate_refuses_its_delivery_before_upload(name: str, project: Project, certificates: Path) -> None:
    shutil.copy(certificates / name, project.root / "acme.asc")
    outcome = deliver(project)
    assert (outcome.code, outcome.delivery.state) == (ExitCode.USAGE, "planned")
    assert "acme.asc" in outcome.message
    assert not project.share.exists()


def test_a_certificate_that_was_revoked_since_refuses_the_upload(
    project: Project, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(HandingOver, "_hand_over_all", lambda *_: (_ for _ in ()).throw(WriteFailed("died")))
        assert deliver(project).delivery.state == "spooled"
    shutil.copy(certificates / "revoked", project.root / "acme.asc")
    outcome = deliver(project)
    assert (outcome.code, outcome.delivery.state) == (ExitCode.USAGE, "spooled")
    assert "was revoked" in outcome.message
    assert not project.share.exists()


def test_a_missing_certificate_is_a_fault_of_the_file(project: Project) -> None:
    (project.root / "acme.asc").unlink()
    with pytest.raises(ConfigError, match=r"by_share.public_key: .*acme.asc cannot be read: No such file"):
        Integrations(project.integrations_file).usable(("by_share",))


def of_several(project: Project, *names: str) -> None:
    text = project.integrations_file.read_text().replace("public_key: acme.asc", f"recipients: [{', '.join(names)}]")
    project.integrations_file.write_text(text)


def test_each_of_several_recipients_reads_the_file_and_nobody_else(project: Project, tmp_path: Path) -> None:
    """By GnuPG, each with no other key than its own; a third has no way in."""
    partner, stranger = (pysequoia.Tsk.generate(f"{who} <{who}@example.com>") for who in ("partner", "stranger"))
    (project.root / "partner.asc").write_text(str(partner.extract_certificate()))
    of_several(project, "acme.asc", "partner.asc")
    outcome = deliver(project)
    assert (outcome.state, outcome.message) == ("delivered", "")
    folder = project.share / "acme_outdoor" / "inbox"
    file = folder / f"daily_{DAY}.csv.gz.pgp"
    (entry,) = json.loads((folder / f"{file.name}.manifest.json").read_bytes())["files"]
    read = [read_by(key, file) for key in (KEY, partner, stranger)]
    assert read[0] == read[1]
    assert hashlib.sha256(gzip.decompress(read[0])).hexdigest() == entry["plain_sha256"]
    assert read[2] == b""


def read_by(key: pysequoia.Tsk, file: Path) -> bytes:
    """What GnuPG decrypts with this one key. An agent's socket needs a short path."""
    home = tempfile.mkdtemp(dir="/tmp")
    gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        subprocess.run([*gpg, "--import"], input=bytes(key), check=True, capture_output=True)
        return subprocess.run([*gpg, "--decrypt", file], check=False, capture_output=True).stdout
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize("name", ["expired", "subkey revoked", "signs", "secret"])
@pytest.mark.parametrize("place", [0, 1])
def test_one_bad_certificate_of_several_refuses_by_name(
    place: int, name: str, project: Project, certificates: Path
) -> None:
    shutil.copy(certificates / name, project.root / "partner.asc")
    names = ["acme.asc"]
    names.insert(place, "partner.asc")
    of_several(project, *names)
    outcome = deliver(project)
    assert (outcome.code, outcome.delivery.state) == (ExitCode.USAGE, "planned")
    assert "partner.asc" in outcome.message
    assert "acme.asc" not in outcome.message
    assert not project.share.exists()


def test_of_several_certificates_the_missing_ones_are_faults_of_the_file(project: Project) -> None:
    of_several(project, "gone.asc", "acme.asc", "too.asc")
    with pytest.raises(ConfigError) as refused:
        Integrations(project.integrations_file).usable(("by_share",))
    assert refused.value.message.count("by_share.recipients") == 2
    assert all(name in refused.value.message for name in ("gone.asc", "too.asc"))
    assert "acme.asc" not in refused.value.message


def test_a_recipient_of_which_the_variable_is_not_set_is_that_clients_trouble_alone(project: Project) -> None:
    of_several(project, "acme.asc", "\"{{ env_var('UNSET') }}\"")
    assert "UNSET is not set" in Integrations(project.integrations_file).lacking["by_share"].message


def test_one_certificate_or_several_are_not_said_at_once(project: Project) -> None:
    text = project.integrations_file.read_text()
    project.integrations_file.write_text(
        text.replace("public_key: acme.asc", "public_key: acme.asc\n    recipients: [acme.asc]")
    )
    with pytest.raises(ConfigError, match="list all in recipients"):
        Integrations(project.integrations_file).usable(("by_share",))


@pytest.mark.parametrize("left_out", ["encryption: openpgp", "public_key: acme.asc"])
def test_encryption_and_certificate_need_each_other(left_out: str, project: Project) -> None:
    text = project.integrations_file.read_text().replace(left_out + "\n    ", "")
    project.integrations_file.write_text(text)
    with pytest.raises(ConfigError, match="needs public_key or recipients, and these need"):
        Integrations(project.integrations_file).usable(("by_share",))


def test_memory_stays_flat(certificates: Path, tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from delivery.files.openpgp import encrypt
peaks = []
for megabytes in (1, 200):
    with Path({str(tmp_path)!r}, "plain").open("wb") as plain:
        plain.truncate(megabytes << 20)
    with Path({str(tmp_path)!r}, "plain").open("rb") as source:
        encrypt(source, Path({str(tmp_path)!r}, str(megabytes)), [Path({str(certificates / "armored")!r})])
    peaks.append(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
print(peaks[1] - peaks[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16 * 1024  # kilobytes


VENDOR = "vendor@example.com"


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a vendor's keys, named for what is wrong with them; `certificate` is of two that can sign."""
    folder, home = tmp_path_factory.mktemp("signing"), tempfile.mkdtemp(dir="/tmp")

    def gpg(*arguments: str, passphrase: str = "") -> bytes:
        common = ["--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase]
        return subprocess.run(["gpg", *common, *arguments], check=True, capture_output=True).stdout

    try:
        for name, usage, passphrase, *more in [
            ("open", "sign", ""),
            ("locked", "sign", "s3cret words"),
            ("encrypts", "cert", ""),
            ("expired", "sign", "", "--faked-system-time", "20200101T000000"),
        ]:
            expires = "1y" if more else "0"
            gpg(*more, "--quick-gen-key", f"{name}-{VENDOR}", "ed25519", usage, expires, passphrase=passphrase)
            (folder / name).write_bytes(gpg("--export-secret-keys", f"{name}-{VENDOR}", passphrase=passphrase))
        (folder / "two").write_bytes((folder / "open").read_bytes() + (folder / "locked").read_bytes())
        (folder / "certificate").write_bytes(gpg("--export", f"open-{VENDOR}", f"locked-{VENDOR}"))
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)
    for path in folder.iterdir():
        path.chmod(0o600)
    return folder


def signed_by(project: Project, key: Path, more: str = "") -> None:
    text = project.integrations_file.read_text()
    signature = f"signature: {{private_key: {key}{more}}}\n    compression: gzip"
    project.integrations_file.write_text(text.replace("compression: gzip", signature))


def status_of(file: Path, certificate: Path) -> tuple[bytes, str]:
    """What GnuPG decrypts with the client's key, and what it says of the signature."""
    home = tempfile.mkdtemp(dir="/tmp")
    gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--trust-model", "always", "--pinentry-mode", "loopback"]
    try:
        for key in (bytes(KEY), certificate.read_bytes()):
            subprocess.run([*gpg, "--passphrase", "", "--import"], input=key, check=True, capture_output=True)
        command = [*gpg, "--passphrase", "", "--status-fd", "2", "--decrypt", file]
        done = subprocess.run(command, check=False, capture_output=True)
        return done.stdout, done.stderr.decode()
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.parametrize(("name", "passphrase"), [("open", None), ("locked", "s3cret words")])
def test_an_encrypted_file_is_signed_too(
    name: str, passphrase: str | None, project: Project, signing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of key and passphrase is an argument of a process, or stays."""
    if passphrase:
        monkeypatch.setenv("SIGN_WITH", passphrase)
    signed_by(project, signing / name, ", passphrase: \"{{ env_var('SIGN_WITH') }}\"" if passphrase else "")
    ran: list[str] = []
    begun = subprocess.Popen

    def noting(command: Any, *more: Any, **keys: Any) -> Any:
        ran.append(repr(command))
        return begun(command, *more, **keys)

    monkeypatch.setattr(subprocess, "Popen", noting)
    outcome = deliver(project)
    monkeypatch.undo()
    assert (outcome.state, outcome.message) == ("delivered", "")
    file = project.share / "acme_outdoor" / "inbox" / f"daily_{DAY}.csv.gz.pgp"
    plain, said = status_of(file, signing / "certificate")
    assert gzip.decompress(plain).count(b"@example.com") == 600
    assert f"GOODSIG {said.split('GOODSIG ')[1].split()[0]} {name}-{VENDOR}" in said
    assert any("--sign" in command for command in ran)
    assert not [command for command in ran if "s3cret" in command]


SIGNS = """
import sys
from pathlib import Path
from delivery.config.integrations import Signature
from delivery.files.openpgp import encrypt
target, certificate, key = map(Path, sys.argv[1:])
encrypt(sys.stdin.buffer, target, [certificate], signature=Signature(private_key=key))
"""


def test_a_key_that_a_killed_run_left_goes_with_the_next_file(
    certificates: Path, signing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its agent. Who is still at it keeps the own one, and what a link leads to is left alone."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # an agent's socket needs a short path
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    command = [sys.executable, "-c", SIGNS]
    (tmp_path / "plain").write_bytes(b"x")

    def begun(name: str) -> tuple[subprocess.Popen[bytes], Path]:
        """One that waits for rows, with the key in its folder."""
        known, given = set(folder.glob("*/private-keys-v1.d/*")), [certificates / "fine", signing / "open"]
        process = subprocess.Popen(
            [*command, tmp_path / name, *given], stdin=subprocess.PIPE, env=os.environ | {"TMPDIR": str(folder)}
        )
        for _ in range(600):
            if (new := set(folder.glob("*/private-keys-v1.d/*")) - known) and (tmp_path / name).exists():
                return process, new.pop().parents[1]
            time.sleep(0.05)
        pytest.fail("it did not begin to sign")

    def agents(wanted: int) -> int:
        """How many there are; those that were told to end have some moments for it."""
        for _ in range(100):
            said = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
            found = sum("gpg-agent" in line and str(folder) in line for line in said.splitlines())
            if found == wanted:
                break
            time.sleep(0.05)
        return found

    try:
        at_it, held = begun("at it")
        killed, left = begun("killed")
        killed.kill()
        killed.wait()
        assert (list(left.glob("private-keys-v1.d/*.key")) != [], agents(2)) == (True, 2)
        (folder / "delivery-gnupg-link").symlink_to(signing)
        for young in (3600, 0):
            assert left.exists(), "one that was just made may not be locked yet"
            monkeypatch.setattr(openpgp, "_YOUNG_SECONDS", young)
            with (tmp_path / "plain").open("rb") as source:
                encrypt(source, tmp_path / f"next-{young}", [certificates / "fine"])
        assert (left.exists(), held.exists(), agents(1), (signing / "open").exists()) == (False, True, 1, True)
        at_it.communicate(b"rows")
        assert (at_it.returncode, held.exists(), agents(0)) == (0, False, 0)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("encrypts", "cannot sign"),
        ("expired", "expired on 20(20-12-31|21-01-01)"),
        ("two", "holds several secret keys"),
        ("certificate", "is not an OpenPGP secret key"),
        ("locked", "the passphrase of the signing key"),
    ],
)
def test_a_key_that_cannot_sign_refuses_its_delivery(name: str, reason: str, project: Project, signing: Path) -> None:
    signed_by(project, signing / name)
    (foreseen,) = plan(project, Request(at=AT, window=DAY, integrations=("by_share",)))
    assert (re.search(reason, foreseen.refusal) is not None) == (name != "locked"), "a passphrase is tried by no plan"
    outcome = deliver(project)
    assert outcome.delivery.state == "planned"
    assert re.search(reason, outcome.message + outcome.hint)
    assert not project.share.exists()


def test_a_folder_that_is_too_deep_to_sign_in_is_not_taken_for_a_bad_key(
    project: Project, signing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("t" * 80)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    signed_by(project, signing / "open")
    outcome = deliver(project)
    if Path(f"/run/user/{os.getuid()}").is_dir():  # GnuPG has its sockets there
        assert outcome.message == ""
    else:
        assert "gpg cannot sign below" in outcome.message
        assert outcome.hint == "Set TMPDIR to a folder with a shorter path, as /tmp."
    assert not [*deep.iterdir()]


def test_a_signing_key_that_is_gone_or_open_to_others_is_a_fault_of_the_file(project: Project, signing: Path) -> None:
    signed_by(project, signing / "gone")
    with pytest.raises(ConfigError, match=r"by_share.signature.private_key: .*gone cannot be read"):
        Integrations(project.integrations_file).usable(("by_share",))
    shutil.copy(signing / "open", project.root / "seen")
    (project.root / "seen").chmod(0o644)
    project.integrations_file.write_text(project.integrations_file.read_text().replace(str(signing / "gone"), "seen"))
    with pytest.raises(ConfigError, match=r"seen is open to others"):
        Integrations(project.integrations_file).usable(("by_share",))


def test_text_and_another_extension(project: Project) -> None:
    text = project.integrations_file.read_text()
    project.integrations_file.write_text(
        text.replace("compression: gzip", "armor: true\n    encrypted_extension: asc\n    compression: gzip")
    )
    assert deliver(project).message == ""
    file = project.share / "acme_outdoor" / "inbox" / f"daily_{DAY}.csv.gz.asc"
    assert file.read_text("ascii").startswith("-----BEGIN PGP MESSAGE-----\n")
    assert gzip.decompress(read_by(KEY, file)).count(b"@example.com") == 600


@pytest.mark.parametrize("key", ["armor: true", "encrypted_extension: gpg", "signature: {private_key: k}"])
def test_what_is_of_encrypted_files_is_refused_of_others(key: str, project: Project) -> None:
    text = project.integrations_file.read_text().replace("encryption: openpgp\n    public_key: acme.asc", key)
    project.integrations_file.write_text(text)
    with pytest.raises(ConfigError, match="are of files with encryption: openpgp"):
        Integrations(project.integrations_file).usable(("by_share",))
