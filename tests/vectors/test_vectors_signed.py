"""Vectors of identities and of everything that is signed, sealed or derived under a label."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crypto import psi
from crypto.ckks import flooding, release
from crypto.identity import Card, Identity, verify
from crypto.sealed_box import OVERHEAD_BYTES, SEAL_LABEL, SealingKey, key_statement, seal
from secure_gal.features import fresh
from secure_gal.gal import split
from secure_gal.messages import Announcement
from secure_gal.messages.certificate import (
    Certificate,
    LogHead,
    certificate_statement,
    check_certificate,
    check_signature,
    head_statement,
)
from secure_gal.protection.sums import exposure as sum_exposure
from secure_gal.protection.sums.declaration import digest_rows
from secure_gal.protection.sums.sealing import FITTED, PART, Binding, check_key, check_part_key, purpose, session
from secure_gal.protocol import agreement, alignment_assistor, prediction
from tests.support.frozen import RUN, STUDY, Vector, card, identity, sha256

NAMES = ("hospital", "insurer", "lab")


def test_card() -> None:
    vector, made = Vector("card"), identity("lab").card
    vector.same(file=made.to_bytes().decode(), signature=made.signature.hex())
    with vector.read():
        read = Card.from_bytes(vector.frozen["file"].encode())
        signed = vector.given["label"].encode() + vector.given["body"].encode()
        Ed25519PublicKey.from_public_bytes(read.signing_key).verify(vector.bytes("signature"), signed)


def test_fingerprint() -> None:
    vector = Vector("fingerprint")
    body = (vector.given["label"] + vector.given["body"]).encode()
    vector.same(fingerprint=identity("lab").card.fingerprint)
    assert sha256(body) == vector.frozen["fingerprint"].replace("-", ""), "the vector itself is sound"


def test_key_file(tmp_path: Path) -> None:
    vector = Vector("key-file")
    identity("lab").save(tmp_path)
    vector.same(file=(tmp_path / "lab.key").read_text())
    (tmp_path / "lab.key").write_text(vector.frozen["file"])
    with vector.read():
        assert Identity.load(tmp_path, "lab").sign(b"x") == identity("lab").sign(b"x")


def test_derived_key() -> None:
    vector = Vector("derived-key")
    info = (vector.given["label"] + vector.given["purpose"]).encode()
    secret = hashlib.sha256(b"signing key of lab").digest()
    vector.same(key=identity("lab").derive_key(vector.given["purpose"].encode()).hex())
    assert HKDF(SHA256(), 32, salt=None, info=info).derive(secret) == vector.bytes("key"), "the vector itself is sound"


def test_run_id() -> None:
    vector = Vector("run-id")
    vector.same(run=agreement.run_id(STUDY, vector.given["nonces"]))


def test_run_statement() -> None:
    vector, statement = Vector("run-statement"), agreement.statement(STUDY, RUN)
    vector.same(statement=statement.hex(), signature=identity("lab").sign(statement).hex())
    with vector.read():
        agreement.check_signature("hospital", card("lab"), STUDY, RUN, vector.frozen["signature"])


def test_study_as_hello_carries_it() -> None:
    vector = Vector("study-reading")
    text = agreement.reading(vector.given["canonical"].encode())
    vector.same(text=text.replace(f'"{agreement.__version__}"', '"RELEASE"'))
    with vector.read():
        read = agreement.read("lab", vector.frozen["text"].replace('"RELEASE"', '"0.3.0"'))
        assert read.canonical.decode() == vector.given["canonical"]
        assert (read.release, read.version) == ("0.3.0", 3)


def test_ledger_head_statement() -> None:
    vector = Vector("ledger-head-statement")
    statement = head_statement(STUDY, "lab", LogHead(seq=5, root="ef" * 32))
    vector.same(statement=statement.decode(), signature=identity("lab").sign(statement).hex())
    with vector.read():
        verify(card("lab"), statement, vector.bytes("signature"))


def heads() -> dict[str, LogHead]:
    """In another order than that of the names, which the statement must not follow."""
    return {name: LogHead(seq=number, root=f"{number:02x}" * 32) for number, name in enumerate(reversed(NAMES), 3)}


def test_certificate_statement() -> None:
    vector = Vector("certificate-statement")
    statement = certificate_statement(STUDY, RUN, 2, heads())
    vector.same(statement=statement.decode(), signatures={name: identity(name).sign(statement).hex() for name in NAMES})
    with vector.read():
        for name in NAMES:
            check_signature("hospital", card(name), statement, vector.frozen["signatures"][name])
        kept = vector.frozen["signatures"]
        certificate = Certificate(study=STUDY, run=RUN, round=2, heads=heads(), signatures=kept)
        check_certificate("hospital", {name: card(name) for name in NAMES}, certificate)


def test_certificate() -> None:
    vector = Vector("certificate")
    signatures = {name: f"signature of {name}" for name in NAMES}
    made = Certificate(study=STUDY, run=RUN, round=2, heads=heads(), signatures=signatures)
    parts = {f"<head of {name}>": msgspec.json.encode(head).decode() for name, head in heads().items()}
    text = msgspec.json.encode(made).decode()
    for word, part in parts.items():
        text = text.replace(part, word)
    vector.same(text=text)
    with vector.read():
        stored = vector.frozen["text"]
        for word, part in parts.items():
            stored = stored.replace(word, part)
        assert msgspec.json.decode(stored, type=Certificate) == made


def test_declared_width() -> None:
    vector = Vector("declared-width")
    made = {str(fresh): sum_exposure.statement(STUDY, RUN, "lab", 64, 40, fresh).decode() for fresh in (False, True)}
    vector.same(statements=made, signature=identity("lab").sign(made["True"].encode()).hex())
    with vector.read():
        verify(card("lab"), made["True"].encode(), vector.bytes("signature"))


def test_sealing_key() -> None:
    vector = Vector("sealing-key")
    key = SealingKey(bytes.fromhex(vector.given["secret"]))
    for_what = {"fits": purpose(FITTED, 0), "parts of batch 7": purpose(PART, 7)}
    statements = {what: key_statement(session(STUDY, RUN), text, key.public).hex() for what, text in for_what.items()}
    signatures = {
        what: key.announce(identity("insurer"), session(STUDY, RUN), text).hex() for what, text in for_what.items()
    }
    vector.same(public=key.public.hex(), purposes=for_what, statements=statements, signatures=signatures)
    with vector.read():
        kept, public = vector.frozen["signatures"], vector.frozen["public"]
        check_key(card("insurer"), STUDY, RUN, "fitted", bytes.fromhex(public), bytes.fromhex(kept["fits"]), "hospital")
        check_part_key(card("insurer"), STUDY, RUN, 7, Announcement(public, kept["parts of batch 7"]), "hospital")


BINDING = Binding(STUDY, RUN, "fitted", 3, "lab", "insurer", "rows")


def opened_by_hand(vector: Vector, sealed: bytes) -> bytes:
    """What lies in a sealed box, by the vector's own words; `InvalidTag` where it was made otherwise."""
    label, secret = vector.given["label"].encode(), bytes.fromhex(vector.given["recipient"])
    private = X25519PrivateKey.from_private_bytes(secret)
    fresh, body = sealed[:32], sealed[32:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(fresh))
    salt = fresh + private.public_key().public_bytes_raw()
    key = HKDF(SHA256(), 32, salt=salt, info=label).derive(shared)
    return ChaCha20Poly1305(key).decrypt(bytes(12), body, label + vector.given["binding"].encode())


def test_sealed_box() -> None:
    """The sender's key is drawn: what was sealed under one that is written down opens, and so does a fresh box."""
    vector, payload = Vector("sealed-box"), b"a payload"
    stored, recipient = vector.bytes("sealed"), SealingKey(bytes.fromhex(vector.given["recipient"]))
    fresh = X25519PrivateKey.from_private_bytes(bytes.fromhex(vector.given["drawn"])).public_key().public_bytes_raw()
    assert stored[:32] == fresh and opened_by_hand(vector, stored)[64:] == payload, "the vector itself is sound"
    signed = vector.given["label"].encode() + vector.given["binding"].encode() + fresh + recipient.public
    Ed25519PublicKey.from_public_bytes(card("lab").signing_key).verify(
        opened_by_hand(vector, stored)[:64], signed + hashlib.sha256(payload).digest()
    )
    with vector.read():
        assert recipient.unseal(stored, card("lab"), BINDING.to_bytes()) == payload
        new = seal(identity("lab"), recipient.public, BINDING.to_bytes(), payload)
        assert opened_by_hand(vector, new)[64:] == payload and len(new) == len(stored) == OVERHEAD_BYTES + len(payload)
    vector.same(sealed=stored.hex(), overhead=OVERHEAD_BYTES, binding_bytes=(SEAL_LABEL + BINDING.to_bytes()).decode())


def test_rows_of_a_sum() -> None:
    Vector("rows-of-a-sum").same(digest=digest_rows(("a", "bc", "é"), bytes([1, 0, 0])))


def test_prediction_batch() -> None:
    Vector("prediction-batch").same(digest=prediction._digest(("a", "bc", "é")).hex())


def test_ids_of_an_alignment() -> None:
    Vector("ids-of-an-alignment").same(digest=alignment_assistor._digest(("a", "bc", "é")).hex())


def test_seeds_of_experiments() -> None:
    mask = split.split_rows(120, 0.25, 7)
    Vector("seeds").same(
        features=split.derive_seed("features", 7, "lab"),
        rounds=[split.derive_seed("round", i) for i in range(3)],
        validation_rows=np.flatnonzero(~mask).tolist(),
    )


def test_fresh_feature_map(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn_from: list[int] = []
    twister = np.random.MT19937
    monkeypatch.setattr(np.random, "MT19937", lambda seed: drawn_from.append(seed) or twister(seed))
    x = np.random.default_rng(0).standard_normal((20, 2))
    fresh.draw(("fourier", "trees"), x, bytes(range(32)), 9)
    Vector("fresh-feature-map").same(seeds=[f"{seed:064x}" for seed in drawn_from])


def test_noise_at_decryption() -> None:
    """The same ciphertext gets the same noise for ever: other noise could be averaged with the first."""
    vector = Vector("noise-at-decryption")
    seed = release.noise_seed(bytes(range(32)), "strict", b"a ciphertext")
    vector.same(
        seed=seed.hex(),
        coefficients=[[f"{int(word):016x}" for word in limb] for limb in flooding.draw(3, 86, bytes(range(32)))],
        one=str(flooding.one(86, bytes(range(32)))),
    )


def test_psi_domain() -> None:
    domain = agreement.psi_domain(STUDY, RUN, "hospital", "lab", 2, 5)
    Vector("psi-domain").same(domain=domain.hex())


def psi_side(vector: Vector) -> Any:
    """A side with a scalar that is written down; a real one draws its own."""
    side = psi.PsiSide(bytes.fromhex(vector.given["domain"]))
    side._scalar = bytearray.fromhex(vector.given["scalar"])
    return side


def test_psi_points() -> None:
    vector, ids = Vector("psi-points"), Vector("psi-points").given["ids"]
    order, blocks = psi_side(vector).mask(ids, cores=1)
    points = np.concatenate(list(blocks))[np.argsort(order)]  # the order is secret, and drawn anew
    vector.same(points=[point.tobytes().hex() for point in points])
    with vector.read():
        psi.parse_points(bytes.fromhex("".join(vector.frozen["points"])), len(ids))


def test_psi_tags() -> None:
    vector = Vector("psi-tags")
    points = psi.parse_points(bytes.fromhex("".join(vector.given["points"])), len(vector.given["points"]))
    sizes = [psi.tag_bytes(own, peers) for own, peers in ((1, 1), (1000, 1000), (2_000_000, 10_000_000))]
    vector.same(tags=[tag.tobytes().hex() for tag in psi_side(vector).tags(points, 9, cores=1)], sizes=sizes)


def test_payload_archive_key_is_asked_for_by_its_label(tmp_path: Path) -> None:
    from parties.run.archive import Archive

    vector, asked = Vector("payload-archive"), []

    class Owner:
        def derive_key(self, label: bytes) -> bytes:
            asked.append(label.decode())
            return bytes.fromhex(vector.given["key"])

    archive = Archive(tmp_path, Owner())  # type: ignore[arg-type]
    frames = [b"header", b"signature", b"", b"payload"]
    archive.write(258, frames)
    (file,) = (tmp_path / "archive").iterdir()
    fresh, stored = file.read_bytes(), vector.bytes("file")
    file.write_bytes(stored)
    with vector.read():
        assert archive.read(258) == frames
        key = ChaCha20Poly1305(bytes.fromhex(vector.given["key"]))
        about = vector.given["label"].encode() + (258).to_bytes(8, "big")
        assert key.decrypt(fresh[:12], fresh[12:], about) == key.decrypt(stored[:12], stored[12:], about)
    vector.same(label_of_the_key=asked, name=file.name, file=stored.hex())
    assert len(fresh) == len(stored) and os.stat(file).st_mode & 0o077 == 0
