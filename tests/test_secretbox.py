"""Secrets at rest: sealed with the first key, opened with any, and never told in an error."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.errors import ConfigError, HookhubError, StoreError, ValidationFailed
from hookhub.secretbox import PREFIX, SecretBox

OLD = "an old key of thirty-two characters or more"
NEW = "ein neuer Schlüssel mit 32 Zeichen oder mehr"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@given(st.text())
def test_what_is_sealed_opens(text: str) -> None:
    """Any text comes back, and is not to be seen in between."""
    box = SecretBox([NEW])
    sealed = box.seal(text)
    assert sealed.startswith(PREFIX)
    assert sealed.isascii()
    assert box.open(sealed) == text
    assert len(text) < 4 or text not in sealed
    assert not box.needs_sealing(sealed)


def test_sealing_twice_differs() -> None:
    """Two equal secrets cannot be told to be equal."""
    box = SecretBox([NEW])
    assert box.seal(SECRET) != box.seal(SECRET)


def test_the_form_is_stable() -> None:
    """What an earlier release sealed opens: the derivation and the form never change."""
    sealed = (
        "sealed:v1:61243265:"
        "5ZjrnmGRrViB7-AECkMIxZ6d2AYgIUSNvOCda03dJtU0yRI3w8qeMNV9xM5ytBypycI9JoaMC4UY6wGQXBY53lM1"
    )
    assert SecretBox([OLD]).open(sealed) == SECRET


def test_plain_text_passes() -> None:
    """A database that was never sealed can be read, with a key and without."""
    for box in (SecretBox([NEW]), SecretBox([])):
        assert box.open(SECRET) == SECRET
        assert box.open("") == ""
    assert SecretBox([NEW]).needs_sealing(SECRET)


def test_without_a_key_nothing_changes() -> None:
    """No key: texts stay as they are, and nothing needs sealing."""
    box = SecretBox([])
    assert box.seal(SECRET) == SECRET
    assert not box.needs_sealing(SECRET)


def test_rotation() -> None:
    """The first key seals, all open, and what an old key sealed is found."""
    sealed = SecretBox([OLD]).seal(SECRET)
    both = SecretBox([NEW, OLD])
    assert both.open(sealed) == SECRET
    assert both.needs_sealing(sealed)
    again = both.seal(both.open(sealed))
    assert not both.needs_sealing(again)
    assert SecretBox([NEW]).open(again) == SECRET


def test_a_missing_key_is_named() -> None:
    """The error says that the key is missing or another, and what to set; by its id only."""
    sealed = SecretBox([OLD]).seal(SECRET)
    key_id = sealed.split(":")[2]
    for box, part in ((SecretBox([]), "not set"), (SecretBox([NEW]), "behind the new one")):
        with pytest.raises(ConfigError, match=part) as caught:
            box.open(sealed)
        assert "[auth] secret_key" in caught.value.detail
        assert key_id in caught.value.detail


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_a_short_key_is_refused(key: str) -> None:
    """With the length it needs, and a way to make one; the key itself is not told."""
    with pytest.raises(ConfigError, match="at least 32") as caught:
        SecretBox([NEW, key])
    assert not key or f" {key}" not in caught.value.detail


def test_one_key_is_not_many() -> None:
    """A string is a sequence of characters; taken for keys it would be refused misleadingly."""
    with pytest.raises(TypeError, match="sequence of keys"):
        SecretBox(NEW)


def test_a_text_that_looks_sealed_is_not_sealed() -> None:
    """Or it could not be told apart later, in a database without a key."""
    for box in (SecretBox([]), SecretBox([NEW])):
        with pytest.raises(ValidationFailed, match="sealed:"):
            box.seal(PREFIX + "abc")


@given(st.data())
def test_every_change_is_noticed(data: st.DataObject) -> None:
    """A sealed text in which anything was changed or cut off never opens to something else."""
    box = SecretBox([NEW, OLD])
    sealed = box.seal(SECRET)
    place = data.draw(st.integers(len("sealed:"), len(sealed) - 1))
    other = data.draw(st.sampled_from("AZaz09-_:=я\n"))
    changed = data.draw(
        st.sampled_from([sealed[:place] + other + sealed[place + 1 :], sealed[:place]])
    )
    try:
        assert box.open(changed) == SECRET
    except HookhubError as error:
        caught = error
    else:
        # base64 has bits to spare at its end, and nothing else may differ.
        assert base64.urlsafe_b64decode(changed.split(":")[3]) == base64.urlsafe_b64decode(
            sealed.split(":")[3]
        )
        return
    assert isinstance(caught, ConfigError | StoreError)
    for hidden in (SECRET, OLD, NEW):
        assert hidden not in caught.detail


@given(st.text())
def test_garbage_never_opens(text: str) -> None:
    """What begins like a sealed text is opened or refused with a sentence."""
    with pytest.raises((ConfigError, StoreError)):
        SecretBox([NEW]).open("sealed:" + text)
    with pytest.raises((ConfigError, StoreError)):
        SecretBox([NEW]).open(PREFIX + text)


def test_a_key_id_moved_to_another_text_is_noticed() -> None:
    """The key id is authenticated."""
    box = SecretBox([NEW, OLD])
    mine, other = box.seal(SECRET).split(":"), SecretBox([OLD]).seal(SECRET).split(":")
    with pytest.raises(StoreError, match="damaged"):
        box.open(":".join([*mine[:2], other[2], mine[3]]))


def test_repr_tells_no_key() -> None:
    """A box may end in a traceback or a log."""
    assert repr(SecretBox([NEW, OLD])) == "<SecretBox with 2 keys>"
