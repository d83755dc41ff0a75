"""What happens in the demo: the campaign, the wait for WeChat's last word, and the reckoning."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from notify_platform.callbacks.models import CallbackEvent
from notify_platform.console.demo.cast import SCENES, Cast, template_rows
from notify_platform.delivery.models import Delivery
from notify_platform.insights import books, funnels
from notify_platform.insights.books import Finding
from notify_platform.insights.funnels import JobFunnel
from notify_platform.jobs import jobs
from notify_platform.jobs.models import SendJob, Variant
from notify_platform.simulator.control import Counts, SimulatorControl
from notify_platform.simulator.crowd import Asked, Crowd
from subscriptions.models import Grant, Subscriber

SEND = "/cgi-bin/message/subscribe/send"
LAST_WORD_SECONDS = 90.0

# A sprinkling of what WeChat and the network do on an ordinary day.
TROUBLE: list[dict[str, Any]] = [
    {"endpoint": SEND, "action": "code", "code": -1, "rate": 0.02},
    {"endpoint": SEND, "action": "code", "code": 43108, "rate": 0.005},
    {"endpoint": SEND, "action": "code", "code": 40001, "limit": 1},
    {"endpoint": SEND, "action": "delay", "delay_ms": 400, "rate": 0.01},
    {"endpoint": SEND, "action": "status_before", "http_status": 503, "rate": 0.005},
    {"endpoint": SEND, "action": "status_after", "http_status": 502, "rate": 0.002},
    {"endpoint": SEND, "action": "reset_before", "rate": 0.002},
    {"endpoint": SEND, "action": "reset_after", "rate": 0.002},
]


def prepare_wechat(control: SimulatorControl, cast: Cast, *, public_url: str) -> None:
    """Tell WeChat of the mini-program and its people; a few have turned things off there without our knowing."""
    mini_program = cast.mini_program
    control.setup(
        apps=[
            {
                "app_id": mini_program.app_id,
                "secret": mini_program.app_secret,
                "original_id": mini_program.original_id,
                "templates": template_rows(),
                "name": mini_program.name,
                "api_url": public_url,
                "scenes": [{"code": code, "name": name} for code, name, _words, _asks in SCENES],
                "callback_url": f"{public_url}/wechat/callback/{mini_program.app_id}",
                "callback_token": mini_program.callback_token,
                "aes_key": mini_program.callback_aes_key,
                "mode": "safe",
                "format": "xml",
            }
        ],
        settings={"latency_ms": 30.0, "sent_delay_ms": 300.0, "push_duplicate_rate": 0.02},
    )
    control.add_users(mini_program.app_id, _users(cast))
    for openid in _openids(cast)[7::300]:
        control.turn_off(mini_program.app_id, openid, cast.template.wechat_id)
    control.set_faults(TROUBLE)


def _openids(cast: Cast) -> list[str]:
    people = Subscriber.objects.filter(mini_program=cast.mini_program).order_by("pk")
    return list(people.values_list("openid", flat=True))


def _users(cast: Cast) -> Iterator[dict[str, Any]]:
    """WeChat holds every unit anybody ever granted and that is not spent; it knows no validity of ours."""
    units: dict[str, int] = {}
    kept = Grant.objects.filter(template=cast.template).exclude(state=Grant.State.SPENT)
    for openid in kept.values_list("subscriber__openid", flat=True):
        units[openid] = units.get(openid, 0) + 1
    # One person in a thousand has left WeChat.
    for openid in (openid for number, openid in enumerate(_openids(cast)) if number % 1000 != 11):
        yield {"openid": openid, "balances": {cast.template.wechat_id: units.get(openid, 0)}}


def crowd_of(cast: Cast, *, simulator_url: str, public_url: str) -> Crowd:
    """Return the people of the cast, phones in hand."""
    return Crowd(simulator_url=simulator_url, api_url=public_url, app_id=cast.mini_program.app_id, seed=1)


def ask(crowd: Crowd, cast: Cast) -> Asked:
    """Let the walk-ins meet the sold-out page; three in four want to hear when there is more."""
    return crowd.be_asked([person.openid for person in cast.walk_ins], scene="goods-sold-out", willing=0.75)


def open_some(crowd: Crowd, control: SimulatorControl, cast: Cast) -> int:
    """Let one person in twenty tap the card; returns how many opens were reported."""
    cards = control.deliveries(cast.mini_program.app_id)[::20]
    return crowd.open_cards([(card.openid, card.page) for card in cards])


def run_campaign(cast: Cast) -> SendJob:
    """Compose, submit, approve and start the job, as the people of the cast would at the desk."""
    job = SendJob.objects.create(
        mini_program=cast.mini_program,
        name="阳光玫瑰到货提醒",
        purpose="用户在缺货页订阅了到货提醒，现已到货",
        template=cast.template,
        audience=cast.audience,
        not_after=timezone.now() + timedelta(hours=2),
        created_by=cast.composer,
    )
    Variant.objects.create(
        job=job,
        page="pages/goods/detail?id=1024",
        texts={
            "thing1": "阳光玫瑰葡萄 2斤装",
            "time2": timezone.localtime().strftime("%Y-%m-%d %H:%M"),
            "thing3": "{{ nickname | 亲 }}，您等的葡萄到啦",
        },
        fit_keys=["thing3"],
    )
    jobs.submit(job, by=cast.composer)
    if job.state == SendJob.State.SUBMITTED:
        jobs.approve(job, by=cast.approver)
    jobs.start(job, by=cast.approver)
    return job


def follow(job: SendJob, *, show: Callable[[JobFunnel], None], look_after: Callable[[], None]) -> JobFunnel:
    """Show the job's progress until it is over; ``look_after`` is called now and then to keep the stage alive."""
    while True:
        look_after()
        funnel = funnels.of_job(job)
        show(funnel)
        job.refresh_from_db()
        if job.state != SendJob.State.RUNNING:
            return funnels.of_job(job)
        time.sleep(0.5)


def wait_for_the_last_word(control: SimulatorControl, *, look_after: Callable[[], None]) -> None:
    """Wait until every sent event has come and has been handled, at most ``LAST_WORD_SECONDS``."""
    ends_at = time.monotonic() + LAST_WORD_SECONDS
    while time.monotonic() < ends_at:
        look_after()
        quiet = control.wait_for_pushes(timeout_s=2.0)
        pending = CallbackEvent.objects.filter(state=CallbackEvent.State.PENDING).exists()
        if quiet and not pending:
            return
        time.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The books of both sides, and what does not add up."""

    funnel: JobFunnel
    wechat: Counts
    breaches: list[Finding]


def reckon(control: SimulatorControl, cast: Cast, job: SendJob) -> Reckoning:
    """Compare our books with themselves and with WeChat's."""
    funnel = funnels.of_job(job)
    counts = control.counts(app_id=cast.mini_program.app_id, template_id=cast.template.wechat_id)
    unknown = funnel.count(Delivery.State.UNKNOWN)
    breaches = [*books.check()]
    if job.state != SendJob.State.FINISHED:
        breaches.append(Finding("9 the job ends", f"job is {job.state}: {job.pause_detail}", 1))
    if not funnel.accepted <= counts.counted <= funnel.accepted + unknown:
        sentence = f"WeChat counted {counts.counted}, we hold {funnel.accepted} accepted and {unknown} unknown"
        breaches.append(Finding("5 WeChat's count", sentence, abs(counts.counted - funnel.accepted)))
    elif counts.counted != funnel.accepted:
        breaches.append(
            Finding(
                "9 sent events settle", "messages WeChat counted are still unknown", counts.counted - funnel.accepted
            )
        )
    if counts.doubles:
        breaches.append(Finding("2 nobody twice", "messages were counted twice by WeChat", counts.doubles))
    breaches += _witnesses_disagree(control, cast)
    greedy = sum(row.counted > row.granted for row in control.ledger(cast.mini_program.app_id))
    if greedy:
        breaches.append(Finding("1 cards ≤ consents", "people got more cards than they agreed to", greedy))
    return Reckoning(funnel=funnel, wechat=counts, breaches=breaches)


def _witnesses_disagree(control: SimulatorControl, cast: Cast) -> list[Finding]:
    """A popup is told twice, by the phone and by WeChat's event: it must have become one consent."""
    at_wechat = {
        row.openid: row.granted
        for row in control.ledger(cast.mini_program.app_id)
        if row.template_id == cast.template.wechat_id
    }
    ours = Counter(
        Grant.objects.filter(template=cast.template, subscriber__in=cast.walk_ins).values_list(
            "subscriber__openid", flat=True
        )
    )
    wrong = sum(ours[person.openid] != at_wechat.get(person.openid, 0) for person in cast.walk_ins)
    return [
        Finding("10 one popup, one consent", "people hold another number of consents than they gave", wrong)
    ] * bool(wrong)
