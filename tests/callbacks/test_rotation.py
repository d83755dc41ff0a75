"""While keys are changed, pushes made with the old ones and the new ones come in turns."""

from __future__ import annotations

import itertools
import json

import pytest

from notify_platform.wechat.signing import CallbackKeys
from templates_app.models import MiniProgram
from tests import factories
from tests.callbacks.posting import SENT, check_address, plain, push, safe, stored

pytestmark = pytest.mark.django_db
NEW, OLD = ("new-token", "N" * 43), ("old-token", "O" * 42 + "E")
BODY = json.dumps(SENT).encode()
# Each of the two may have been changed for itself.
PAIRS = list(itertools.product((NEW[0], OLD[0]), (NEW[1], OLD[1])))


def an_app(**changes):
    return factories.a_mini_program(
        **{
            "callback_token": NEW[0],
            "callback_aes_key": NEW[1],
            "previous_callback_token": OLD[0],
            "previous_callback_aes_key": OLD[1],
        }
        | changes
    )


def answer_to(client, app, token, aes_key):
    keys = CallbackKeys(app_id=app.app_id, token=token, aes_key=aes_key)
    return push(client, app, *safe(BODY, keys=keys)).status_code


@pytest.mark.parametrize(("token", "aes_key"), PAIRS)
def test_every_pair_of_old_and_new_opens_the_door(client, token, aes_key):
    assert answer_to(client, an_app(), token, aes_key) == 200
    assert stored() == [("subscribe_msg_sent_event", "pending")]


@pytest.mark.parametrize(
    ("changes", "opening"),
    [
        ({"previous_callback_token": "", "previous_callback_aes_key": ""}, [NEW]),
        ({"previous_callback_token": ""}, [NEW, (NEW[0], OLD[1])]),
        ({"previous_callback_aes_key": ""}, [NEW, (OLD[0], NEW[1])]),
        ({"previous_callback_token": NEW[0], "previous_callback_aes_key": NEW[1]}, [NEW]),
        ({"callback_token": "", "callback_aes_key": ""}, [OLD]),
    ],
)
def test_a_key_that_is_not_kept_any_more_is_refused(client, changes, opening):
    app = an_app(**changes)

    assert {pair: answer_to(client, app, *pair) for pair in PAIRS} == {
        pair: 200 if pair in opening else 403 for pair in PAIRS
    }


@pytest.mark.parametrize(
    ("changes", "opening"),
    [({}, ["new-token", "old-token"]), ({"previous_callback_token": ""}, ["new-token"])],
)
def test_the_address_check_takes_the_same_tokens(client, changes, opening):
    app = an_app(**changes)

    answers = {token: check_address(client, app, token=token).status_code for token in ("new-token", "old-token", "")}

    assert answers == {token: 200 if token in opening else 403 for token in answers}


@pytest.mark.parametrize("token", [NEW[0], OLD[0]])
@pytest.mark.parametrize(
    "changes",
    [{}, {"previous_callback_aes_key": ""}, {"callback_aes_key": ""}, {"callback_token": "", "callback_aes_key": ""}],
)
def test_as_long_as_any_key_seals_envelopes_a_bare_body_is_refused(client, token, changes):
    # Anybody who once saw the query of a push knows a valid plain signature: it says nothing about the content.
    app = an_app(**changes)

    assert push(client, app, *plain(BODY, token=token)).status_code == 403
    assert stored() == []


@pytest.mark.parametrize("token", [NEW[0], OLD[0]])
def test_in_plain_mode_old_and_new_tokens_are_taken(client, token):
    app = an_app(callback_aes_key="", previous_callback_aes_key="")

    assert push(client, app, *plain(BODY, token=token)).status_code == 200


def test_changing_the_keys_counts_from_the_next_push_on(client):
    app = an_app(previous_callback_token="", previous_callback_aes_key="")
    assert answer_to(client, app, *NEW) == 200

    MiniProgram.objects.filter(pk=app.pk).update(callback_token=OLD[0], callback_aes_key=OLD[1])

    assert (answer_to(client, app, *NEW), answer_to(client, app, *OLD)) == (403, 200)
