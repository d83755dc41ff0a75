from __future__ import annotations

import pytest

from notify_platform.simulator.control import SimulatorControl
from tests.simulator.stage import Api, said

CATEGORY = "/wxaapi/newtmpl/getcategory"


def code_with(api: Api, token: str) -> int:
    """The errcode of a call with another token."""
    api.token = token
    code: int = api.get(CATEGORY)["errcode"]
    return code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": "password"}, 40002),
        ({"appid": None}, 41002),
        ({"secret": None}, 41004),
        ({"appid": "wx0000000000000000"}, 40013),
        ({"secret": "other"}, 40125),
    ],
)
def test_stable_token_names_what_is_wrong(api: Api, changes: dict[str, str | None], code: int) -> None:
    assert api.stable_token(**changes)["errcode"] == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_type": ""}, 40002),
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"appid": "wx0000000000000000"}, 40013),
        ({"secret": "other"}, 40125),
    ],
)
def test_token_names_what_is_wrong(api: Api, changes: dict[str, str], code: int) -> None:
    assert api.plain_token(**changes)["errcode"] == code


def test_the_four_token_errors(api: Api, control: SimulatorControl) -> None:
    old = api.token
    unknown = old[:-5] + "AAAAA"
    assert [code_with(api, token) for token in ("", "no-token", unknown, old)] == [41001, 40014, 40001, 0]

    control.change_settings(clock_shift_s=7201)

    assert said(api.get(CATEGORY)) == (42001, "access_token expired")


def test_stable_token_gives_the_same_one_with_the_seconds_left(api: Api, control: SimulatorControl) -> None:
    first = api.stable_token()
    control.change_settings(clock_shift_s=3600)
    second = api.stable_token()

    assert first["access_token"] == second["access_token"]
    assert 7190 <= first["expires_in"] <= 7200
    assert 3590 <= second["expires_in"] <= 3600


def test_stable_token_renews_five_minutes_before_the_end_and_both_are_valid(
    api: Api, control: SimulatorControl
) -> None:
    old = api.token
    control.change_settings(clock_shift_s=6950)
    new = api.stable_token()

    assert new["access_token"] != old
    assert new["expires_in"] == 7200
    assert [code_with(api, old), code_with(api, new["access_token"])] == [0, 0]


def test_the_lifetime_is_a_setting(api: Api, control: SimulatorControl) -> None:
    control.change_settings(token_lifetime_s=60)

    assert api.plain_token()["expires_in"] == 60
    assert api.stable_token()["expires_in"] > 60  # the one in hand keeps its own


def test_a_forced_refresh_kills_the_old_token_at_once(api: Api) -> None:
    old = api.token
    new = api.stable_token(force_refresh=True)["access_token"]

    assert [code_with(api, old), code_with(api, new)] == [40001, 0]


def test_forced_refreshes_within_30_seconds_refresh_nothing(api: Api, control: SimulatorControl) -> None:
    first = api.stable_token(force_refresh=True)["access_token"]
    assert api.stable_token(force_refresh=True)["access_token"] == first

    control.change_settings(clock_shift_s=31)

    assert api.stable_token(force_refresh=True)["access_token"] != first


def test_the_21st_forced_refresh_of_a_day_is_45009(api: Api, control: SimulatorControl) -> None:
    codes = []
    for turn in range(21):
        control.change_settings(clock_shift_s=31 * turn)
        codes.append(api.stable_token(force_refresh=True).get("errcode", 0))

    assert codes == [0] * 20 + [45009]


def test_each_plain_token_is_new_and_ends_the_one_before_after_five_minutes(
    api: Api, control: SimulatorControl
) -> None:
    old = api.plain_token()["access_token"]
    new = api.plain_token()["access_token"]
    assert old != new
    assert [code_with(api, old), code_with(api, new)] == [0, 0]

    control.change_settings(clock_shift_s=301)

    assert [code_with(api, old), code_with(api, new)] == [40001, 0]


def test_the_two_kinds_of_token_leave_each_other_alone(api: Api) -> None:
    stable = api.token
    api.plain_token()
    api.plain_token()

    assert code_with(api, stable) == 0
    assert api.stable_token()["access_token"] == stable


def test_another_apps_token_does_not_reach_our_users(api: Api, control: SimulatorControl) -> None:
    control.setup(apps=[{"app_id": "wx2", "secret": "s2"}])
    api.token = api.stable_token(appid="wx2", secret="s2")["access_token"]

    assert said(api.send()) == (40003, "invalid openid")
    assert control.counts(app_id="wx2").refused_by_code == {40003: 1}
