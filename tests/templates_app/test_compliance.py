"""Which words may stand where consent is asked, sentence by sentence.

The rule of thumb behind the table: a coupon, a prize or points may be what the message is about; they may not be what
somebody gets for a yes, and a yes may not be the condition for anything.
"""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates_app.compliance import ADVICE, Found, Rule, advice, find_forbidden

ACCEPTABLE = [
    "",
    "发货提醒",
    "可以通知您发货吗？",
    "订单发货时，我们第一时间告诉您。",
    "允许后，包裹送达时会通知您",
    "订阅后可及时了解物流进度",
    "同意后您将获得发货通知",
    "点击允许，接收取餐提醒",
    "餐好了就告诉您",
    "外卖送达前提醒您下楼取餐",
    "骑手送餐前通知您",
    "送货员配送前会给您发一条消息",
    "领取包裹时请出示取件码，到站后通知您",
    "快递到站，取件码发给您",
    "优惠券到期提醒",
    "优惠券到期前一天提醒您，可以吗？",
    "您的优惠券即将过期时通知您",
    "红包到账时通知您",
    "积分变动提醒",
    "积分兑换成功后通知您",
    "积分余额有变动时告诉您",
    "会员到期提醒",
    "流量不足提醒",
    "话费余额不足时通知您",
    "提现到账提醒",
    "抽奖结果公布后通知您",
    "活动开奖提醒",
    "抽奖开奖时第一时间告诉您结果",
    "奖品发货提醒",
    "您的礼品寄出后通知您",
    "奖励发放进度通知",
    "未订阅也可以正常使用全部功能",
    "不订阅也不影响下单",
    "不授权不会影响您的订单",
    "如不同意，不影响购买",
    "您可以随时在设置里关闭",
    "以免错过重要通知，可以提醒您吗",
    "预约成功，开诊前提醒您",
    "复诊时间到了，我们提醒您",
    "还书日期前三天提醒您",
    "开课前 10 分钟提醒您上课",
    "直播开始时通知您",
    "付款后才能发货，发货时通知您",
    "退款进度有变化时告诉您",
    "降价时通知您",
    "到货通知：有货了告诉您",
    "签到提醒：每天晚上八点",
    "快递员会礼貌地联系您",
    "抽样检查结果出来后通知您",
    "返程车票开售时提醒您",
    "记得按时吃药，我们每天提醒您",
    "您的账单出来后通知您",
    "免费取消的截止时间前提醒您",
    "电影开场前半小时提醒您取票",
    "获取报名结果通知",
    "接收考试成绩通知",
    "马上开始的课程会提前提醒您",
    "立即订阅发货提醒",
    "请求授权接收通知",
    "获取会员到期提醒",
    "积分兑换礼品成功后通知您",
    "报名最后一天提醒您",
    "餐好了请立即领取",
    "店里等您来取餐",
    "取消订阅后将不再收到提醒",
    "未接受的预约取消时通知您",
    "抢票成功后通知您",
    "优惠券领取成功通知",
    "配送礼品到达时通知您",
    "您关注的商品有优惠时告诉您",
    "对方领取红包后通知您",
    "领养进度有变化时告诉您",
    "未授权的设备登录时提醒您",
    "否则过号：排到您时提醒",
    "关注的主播开播提醒",
    "Red packet returned: we notify you",
    "Subscribe now to hear about your order",
    "Receive credit card alerts",
    "When you receive money we tell you",
    "Pick it up in time or we cannot keep it",
    "You need to accept the delivery: we remind you",
    "Tell me when my order ships",
    "May we tell you when your parcel leaves?",
    "Subscribe to see where your parcel is",
    "Get a reminder when your coupon expires",
    "We tell you when your reward points expire",
    "Your prize has shipped: shall we tell you?",
    "Allow messages and we tell you when the table is ready",
    "You can say no: nothing changes for your order",
    "If you don't subscribe, your order is delivered all the same",
    "Receive updates about your refund",
    "Meeting point: gate 3",
]

FORBIDDEN = [
    # What is promised.
    ("订阅送红包", Rule.REWARD),
    ("订阅即送优惠券", Rule.REWARD),
    ("订阅后即可领取优惠券", Rule.REWARD),
    ("允许通知，领10元红包", Rule.REWARD),
    ("开启提醒得积分", Rule.REWARD),
    ("订阅可得50积分", Rule.REWARD),
    ("同意即赠会员7天", Rule.REWARD),
    ("订阅消息，赢取大奖", Rule.REWARD),
    ("点击允许抽iPhone", Rule.REWARD),
    ("订阅有奖", Rule.REWARD),
    ("订阅有礼", Rule.REWARD),
    ("好礼等你拿", Rule.REWARD),
    ("现金红包等你来", Rule.REWARD),
    ("额外抽奖机会一次", Rule.REWARD),
    ("订阅立减5元", Rule.REWARD),
    ("授权后获得流量奖励", Rule.REWARD),
    ("免费领取话费", Rule.REWARD),
    ("订阅返现", Rule.REWARD),
    ("关注就送皮肤", Rule.REWARD),
    ("瓜分百万金币", Rule.REWARD),
    ("订阅享优惠", Rule.REWARD),
    ("开启消息通知得现金", Rule.REWARD),
    ("福利大放送", Rule.REWARD),
    ("0元领", Rule.REWARD),
    ("免费拿", Rule.REWARD),
    ("Get 10% off", Rule.REWARD),
    ("Subscribe for a discount", Rule.REWARD),
    ("Subscribe to win", Rule.REWARD),
    # The same, disguised.
    ("订阅送红 包", Rule.REWARD),
    ("订阅送红*包", Rule.REWARD),
    ("订 阅 送 红.包", Rule.REWARD),
    ("訂閱送紅包", Rule.REWARD),
    ("訂閱領優惠券", Rule.REWARD),
    ("订阅领优惠劵", Rule.REWARD),
    ("订阅送🧧", Rule.REWARD),
    ("订阅送\u200b红\u200b包", Rule.REWARD),
    ("订阅送hong bao", Rule.REWARD),
    ("订阅送ＶＩＰ", Rule.REWARD),
    ("Get a coupon now", Rule.REWARD),
    ("Subscribe and WIN a prize", Rule.REWARD),
    ("Ａｌｌｏｗ ａｎｄ ｇｅｔ ｐｏｉｎｔｓ", Rule.REWARD),
    ("Free gift inside", Rule.REWARD),
    ("F r e e gift", Rule.REWARD),
    ("Get a c0up0n", Rule.REWARD),
    ("Claim your cash-back", Rule.REWARD),
    ("Bonus for subscribing", Rule.REWARD),
    # What is made a condition.
    ("必须订阅", Rule.FORCE),
    ("您必须先同意接收通知", Rule.FORCE),
    ("请务必点击允许", Rule.FORCE),
    ("不订阅将无法下单", Rule.FORCE),
    ("不订阅将影响发货", Rule.FORCE),
    ("未授权则不能查看订单", Rule.FORCE),
    ("拒绝订阅，后果自负", Rule.FORCE),
    ("请允许通知，否则无法继续", Rule.FORCE),
    ("请订阅，否则您将不能领取", Rule.FORCE),
    ("订阅后才能继续", Rule.FORCE),
    ("授权后方可使用", Rule.FORCE),
    ("允许后即可解锁答案", Rule.FORCE),
    ("先订阅再查看结果", Rule.FORCE),
    ("同意才可以观看视频", Rule.FORCE),
    ("必 须 订 阅", Rule.FORCE),
    ("必須訂閱", Rule.FORCE),
    ("不訂閱將無法下單", Rule.FORCE),
    ("订阅解锁更多内容", Rule.FORCE),
    ("不点允许不给看", Rule.FORCE),
    ("点允许才能看视频", Rule.FORCE),
    ("不订阅就不发货", Rule.FORCE),
    ("Allow or lose your order", Rule.FORCE),
    ("No subscription, no service", Rule.FORCE),
    ("You must subscribe", Rule.FORCE),
    ("Allow to continue", Rule.FORCE),
    ("Subscribe to unlock the answer", Rule.FORCE),
    ("Please allow, otherwise you cannot order", Rule.FORCE),
    ("If you don't subscribe your order will be cancelled", Rule.FORCE),
    ("You can't proceed without subscribing", Rule.FORCE),
    # What pushes.
    ("赶快订阅", Rule.INCITE),
    ("求订阅", Rule.INCITE),
    ("手慢无", Rule.INCITE),
    ("最后一次机会", Rule.INCITE),
    ("限时福利", Rule.INCITE),
    ("点击有惊喜", Rule.INCITE),
    ("Hurry, last chance!", Rule.INCITE),
    ("快来抢", Rule.INCITE),
]

# Harmless to a person and refused all the same: the careful side of the line, written down so that nobody wonders.
CAREFUL = [
    ("请在领取礼品前查看提醒", Rule.REWARD),
    ("不订阅将收不到发货提醒", Rule.FORCE),
]


@pytest.mark.parametrize("text", ACCEPTABLE)
def test_this_may_stand(text: str) -> None:
    assert find_forbidden(text) == []


@pytest.mark.parametrize(("text", "rule"), [*FORBIDDEN, *CAREFUL])
def test_this_may_not(text: str, rule: Rule) -> None:
    assert rule in {found.rule for found in find_forbidden(text)}


def test_the_word_is_named_as_it_was_understood_and_only_once() -> None:
    assert find_forbidden("必 須 訂 閱，必须订阅，赶快订阅") == [
        Found("必须订阅", Rule.FORCE),
        Found("赶快订阅", Rule.INCITE),
    ]


def test_the_advice_names_the_word_and_says_what_to_do() -> None:
    assert advice("必须订阅") == [
        "“必须订阅” makes a yes the condition for something; WeChat bans mini-programs for that. "
        "Say what the message will tell, and let people say no."
    ]
    assert advice("发货提醒") == []


def test_every_rule_has_its_advice() -> None:
    assert set(ADVICE) == set(Rule)


@pytest.mark.parametrize("text", ["送红包" * 5000, "订阅" * 10000, "a " * 10000, "不订阅" * 5000, "get " * 5000])
def test_a_long_text_is_read_to_its_end(text: str) -> None:
    assert isinstance(find_forbidden(text), list)


@given(st.sampled_from([text for text, _rule in FORBIDDEN if text.isascii() is False and " " not in text]), st.data())
def test_gaps_between_the_characters_hide_nothing(text: str, data: st.DataObject) -> None:
    gap = data.draw(st.sampled_from([" ", "·", "*", "\u200b", "~", "__", "|"]))
    assert find_forbidden(gap.join(text)) == find_forbidden(text)


@given(st.text(alphabet=string.ascii_letters + string.digits + " ，。!订阅送红包优惠券发货提醒", max_size=80))
def test_upper_and_full_width_letters_change_nothing(text: str) -> None:
    wide = "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)
    assert find_forbidden(wide) == find_forbidden(text) == find_forbidden(text.upper())
