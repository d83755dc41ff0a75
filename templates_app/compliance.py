"""Words that may not stand where consent is asked: WeChat bans mini-programs that buy, force or incite a subscription.

WeChat's operating rules, 5.21.1. A coupon may be what a message is about ("when your coupon expires"), it may not be
what a yes is paid with ("agree and get a coupon"): what somebody would get is found by what is said of it. The list
is careful rather than complete, and knows only what is written: nobody is spared thinking. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Sentence: TypeAlias = "str | _StrPromise"


class Rule(StrEnum):
    """What is forbidden."""

    REWARD = "reward"
    FORCE = "force"
    INCITE = "incite"


ADVICE: Final[Mapping[Rule, Sentence]] = {
    Rule.REWARD: gettext_lazy(
        "“%(word)s” promises something for a yes; WeChat bans mini-programs for that. "
        "Say only what the message will tell."
    ),
    Rule.FORCE: gettext_lazy(
        "“%(word)s” makes a yes the condition for something; WeChat bans mini-programs for that. "
        "Say what the message will tell, and let people say no."
    ),
    Rule.INCITE: gettext_lazy(
        "“%(word)s” pushes people; WeChat bans mini-programs for that. Say calmly what the message will tell."
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A forbidden word as it was understood (half-width, lower case, simplified, without gaps), and the rule."""

    word: str
    rule: Rule


def find_forbidden(text: str) -> list[Found]:
    """Return what is forbidden in a text, in the order of the rules; what is part of another finding is not named."""
    plain = _plain(text)
    every = {
        Found(match.group().strip(), rule)
        for written, patterns in ((_tight(plain), _CHINESE), (_spaced(plain), _ENGLISH))
        for rule, pattern in patterns
        for match in pattern.finditer(written)
    }
    whole = [one for one in every if not any(one is not other and _is_part(one, other) for other in every)]
    return sorted(whole, key=lambda each: (list(Rule).index(each.rule), each.word))


def _is_part(one: Found, other: Found) -> bool:
    return one.rule == other.rule and one.word in other.word


def advice(text: str) -> list[str]:
    """Say what is wrong with a text and what to do about it; nothing when it may stand."""
    return [_told(found) for found in find_forbidden(text)]


def _told(found: Found) -> str:
    return str(ADVICE[found.rule] % {"word": found.word})


# --- reading through disguises -------------------------------------------------------------------------------------

_SIMPLIFIED: Final = str.maketrans(
    "獎勵紅優積點現錢禮禮贈領獲贏賺訂閱關註開啟權須無續則將會絕時後繼強務勾點擊獨費話獎幣達錯過還換發關萬",
    "奖励红优积点现钱礼礼赠领获赢赚订阅关注开启权须无续则将会绝时后继强务勾点击独费话奖币达错过还换发关万",
)
# Signs that are written for a word, or put in its place.
_SIGNS: Final = {
    "🧧": "红包",
    "🎁": "礼物",
    "💰": "现金",
    "㊗": "祝",
    "劵": "券",
    "卷": "券",
    "洪包": "红包",
    "荭包": "红包",
}
_LEET: Final = str.maketrans("013457@$", "oieastas")
_GAP: Final = re.compile(r"[^\w，。！？；：、,!?;:\n]|_")
_SPELLED: Final = re.compile(r"\b(?:[a-z][\s.*_~-]+){3,}[a-z]\b")
_MIXED: Final = re.compile(r"\b(?=\w*[a-z])(?=\w*[0-9@$])[a-z0-9@$]{4,}\b")


def _compiled(*rules: tuple[Rule, str]) -> list[tuple[Rule, re.Pattern[str]]]:
    return [(rule, re.compile(pattern)) for rule, pattern in rules]


def _plain(text: str) -> str:
    """Undo full width, upper case, traditional characters, invisible ones and signs."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_SIMPLIFIED)
    text = "".join(letter for letter in text if unicodedata.category(letter) not in {"Cf", "Mn"})
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    return text


def _tight(plain: str) -> str:
    """Close the gaps between characters; what ends a clause stays."""
    return _GAP.sub("", plain)


def _spaced(plain: str) -> str:
    """Join words that are spelled out, read digits as the letters they stand for, and make every gap one space."""
    joined = _SPELLED.sub(lambda match: re.sub(r"[^a-z]", "", match.group()), plain)
    letters = _MIXED.sub(lambda match: match.group().translate(_LEET), joined)
    return re.sub(r"[\s*_~·-]+", " ", letters)


# --- the words -----------------------------------------------------------------------------------------------------

# Within one clause.
_NEAR: Final = r"[^，。！？；：、,!?;:\n]"
_TOLD: Final = r"(?:通知|提醒|消息|订阅)"
_YES: Final = rf"(?:订阅|关注|授权|同意|允许|开启{_TOLD}?|接收{_TOLD}?|勾选|点击|点允许|打开{_TOLD})"
_NO: Final = r"(?:不|未|没有?|拒绝)(?:订阅|关注|授权|同意|允许|开启|接收|勾选|打开|点击?允许)"
_GIVE: Final = (
    rf"(?:(?<![配发派寄运推递护接投转移])送(?![达到货餐件至检修药水还])|赠送?|奖(?![励品])|领(?!取)|领取(?!{_NEAR}{{0,6}}后{_NEAR}{{0,4}}(?:通知|告诉|提醒))|抢|赢取?|赚取?"
    r"|抽(?!样|查|检|血)|瓜分|返(?!回|程|校|厂|修|航|工)|免费(?:得|拿)|(?:可|立|即|就|能|再|先)得|获赠)"
)
_GET: Final = r"(?:获得|获取|得到|(?<![记觉值使懂获])得(?=\d|积分|红包|优惠券|现金|会员|金币))"
_GIFT: Final = (
    r"(?:红包|奖励|奖品|奖金|大奖|(?:优惠|代金|抵用|折扣|满减|现金|消费|免邮|体验)?券|现金|积分|金币|话费|流量包?"
    r"|礼[品包物券]|[好豪大厚]礼|赠品|福利|会员|vip|皮肤|道具|钻石|抽奖|机会|免单|折扣|优惠|iphone|hongbao"
    r"|\d+(?:\.\d+)?元)"
)
_PRECIOUS: Final = r"(?:红包|hongbao|奖励|奖品|奖金|优惠券|代金券|抵用券|现金券|礼包|返现|返利|免单|抽奖|赠品|送[券礼])"
# What can be said of a gift that is somebody's already: a message may be about that.
_ABOUT: Final = (
    r"(?:到期|过期|即将|到账|入账|变动|变更|余额|失效|核销|退还|退款|明细|结果|开奖|公布|揭晓|发货|发出|寄出|签收"
    r"|送达|提醒|通知|清零|审核|使用|有效期|进度|兑换|消耗|扣减|领取(?:后|成功)|被领取)"
)
_LOSS: Final = r"(?:无法|不能|不可|不给|不予|不再|不得|失去|取消|终止|停止|作废|冻结|封号|关闭|扣除|收不到|后果)"
_GO_ON: Final = r"(?:继续|使用|解锁|观看|下载|进入|参与|参加|答题|抽奖|玩)"
_DO: Final = rf"(?:{_GO_ON}|下单|查看|看|领取|支付|付款|提交|游戏|受理|办理|发货|退款)"

_CHINESE: Final = _compiled(
    (Rule.REWARD, rf"{_GIVE}{_NEAR}{{0,4}}?{_GIFT}"),
    (Rule.REWARD, rf"{_GET}{_NEAR}{{0,4}}?{_GIFT}(?!{_NEAR}{{0,4}}{_ABOUT})"),
    (Rule.REWARD, rf"(?<!配)(?<!配送){_PRECIOUS}(?!{_NEAR}{{0,6}}{_ABOUT})"),
    (Rule.REWARD, rf"{_YES}(?!的){_NEAR}{{0,3}}[有享]{_NEAR}{{0,3}}{_GIFT}"),
    (Rule.REWARD, rf"{_YES}{_NEAR}{{0,3}}有(?:惊喜|好处)"),
    (Rule.REWARD, r"有奖(?!惩|状|品)|有礼(?!貌|堂|仪)|好礼(?!貌|仪)|豪礼|大奖(?!赛)|[立返直]减\d|返现金?\d|大[放派]送"),
    (Rule.REWARD, r"(?<![\d.])0元[领购拿抢]|免费(?:领(?!养)|拿|得|送(?![货达餐件药水上]))"),
    (Rule.FORCE, rf"(?:必须|必需|务必|一定要|强制|强烈要求){_NEAR}{{0,4}}{_YES}"),
    (Rule.FORCE, rf"{_NO}(?!也|仍|照){_NEAR}{{0,6}}?{_LOSS}"),
    (Rule.FORCE, rf"{_NO}[将就则便](?!不会?影响|仍|照)"),
    (Rule.FORCE, rf"否则(?:您|你)?[将就会便]?(?:{_LOSS}|影响)"),
    (Rule.FORCE, rf"[先请需须]{_NEAR}{{0,4}}?{_YES}{_NEAR}{{0,6}}?[再才](?:能|可以?|会)?{_DO}"),
    (Rule.FORCE, rf"{_YES}{_NEAR}{{0,4}}?(?:才|方|即?可|就能|便可){_NEAR}{{0,2}}?{_GO_ON}"),
    (Rule.FORCE, r"(?:订阅|授权|允许|同意)后?[可即]?解锁"),
    (Rule.FORCE, rf"{_YES}{_NEAR}{{0,6}}?[才方](?:能|可以?|会){_NEAR}{{0,2}}?{_DO}|才(?:能|可以?)继续|后果自负"),
    (Rule.INCITE, r"(?:赶[快紧]|快来|快点|速速|疯狂|(?<![请要需])求)(?:订阅|关注|授权|点击允许|领|抢)"),
    (Rule.INCITE, r"手慢[则就]?[无没]|先到先得|不看后悔|错过[再就要]?等?(?:一年|后悔|不再)|等[你您][拿领抢]"),
    (Rule.INCITE, r"最后一?次?机会|点击有惊喜|惊喜(?:等|不断)|亏大|限时(?:福利|免费|抢|领|特惠)"),
)

_SOME_WORDS: Final = r"(?:(?!remind|notif|updat|told|tell|news|know|alert|messag)[\w'’]+ ){0,3}"
_PRIZE: Final = (
    r"(?:rewards?|coupons?|vouchers?|cash ?back|cash|points|gifts?|prizes?|bonus(?:es)?|discounts?|freebies?"
    r"|red ?(?:envelope|packet)s?|vip)"
)
_NOT_SAID_OF_IT: Final = (
    r"(?! (?:[\w'’]+ ){0,3}(?:expir|post|ship|sent|status|result|balance|remind|arriv|credited|used|drawn|ready|notif"
    r"|updat|alert|news|statement|chang|return|refund))"
)
_AGREE: Final = r"(?:subscrib(?:e|ing)|allow(?:ing)?|agree(?:ing)?|accept(?:ing)?|authori[sz](?:e|ing)|opt(?:ing)? in)"
_MUST: Final = r"(?:must|have to|has to|required to|need to|mandatory to)"
_CANNOT: Final = r"(?:cannot|can['’]?t|will not|won['’]?t|unable|not be able|lose|be (?:cancel|block|clos|frozen))"
_IF_NOT: Final = r"(?:unless you|if you (?:do not|don['’]?t)|without|until you)"

_ENGLISH: Final = _compiled(
    (
        Rule.REWARD,
        rf"\b(?:get|win|earn|receive|claim|enjoy|collect|grab|gain|unlock) {_SOME_WORDS}{_PRIZE}\b{_NOT_SAID_OF_IT}",
    ),
    (
        Rule.REWARD,
        r"\b(?:free gift|giveaway|cash ?back|lucky draw|lottery|raffle|red ?(?:envelope|packet)|prize|reward|bonus)s?\b"
        + _NOT_SAID_OF_IT,
    ),
    (Rule.REWARD, rf"\b{_PRIZE} for {_AGREE}\b|\bhongbao\b|\b{_AGREE} (?:to|and) win\b|\b\d+ ?% off\b"),
    (Rule.REWARD, rf"\b{_AGREE} (?:[\w'’]+ ){{0,2}}for {_SOME_WORDS}{_PRIZE}\b{_NOT_SAID_OF_IT}"),
    (Rule.FORCE, rf"\b{_MUST} {_SOME_WORDS}(?:subscribe|allow|agree|authori[sz]e|opt in)\b"),
    (Rule.FORCE, rf"\b(?:otherwise|or else),? (?:[\w'’]+ ){{0,3}}{_CANNOT}"),
    (Rule.FORCE, rf"\b{_AGREE} or (?:[\w'’]+ ){{0,2}}{_CANNOT}|\bno (?:subscription|permission|consent),? no "),
    (Rule.FORCE, rf"\b{_IF_NOT} {_AGREE}\b[^.!?\n]{{0,40}}{_CANNOT}"),
    (Rule.FORCE, rf"{_CANNOT} [^.!?\n]{{0,40}}\b{_IF_NOT} {_AGREE}\b"),
    (
        Rule.FORCE,
        rf"\b{_AGREE} (?:[\w'’]+ ){{0,3}}(?:to|before you can) "
        r"(?:continue|proceed|unlock|download|play|watch|check ?out|enter)\b",
    ),
    (Rule.INCITE, r"\b(?:hurry|act now|last chance|limited time)\b"),
)
