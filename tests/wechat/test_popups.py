"""The codes of the popup on the phone."""

from __future__ import annotations

from django.utils import translation

from notify_platform.wechat import popups


def test_every_code_has_a_meaning_and_a_next_step_in_both_languages() -> None:
    for code in popups.CODES:
        said = {}
        for language in ("en", "zh-hans"):
            with translation.override(language):
                said[language] = [str(sentence) for sentence in popups.describe(code)]
        assert all(said["en"])
        assert not {*said["en"]} & {*said["zh-hans"]}, code


def test_a_code_nobody_listed_says_so() -> None:
    assert str(popups.describe(99).meaning) == "WeChat gives no meaning for this code."
