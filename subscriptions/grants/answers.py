"""What was answered, written down once. The only writer of ``Answer``; ``ledger`` decides what it is worth."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from django.db.models import Count, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce

from notify_platform.core.bulk import update_from_values
from notify_platform.core.prepared import Prepared
from subscriptions.grants.models import Answer, Grant, Subscription
from subscriptions.grants.pairing import BAN, NewAnswer, Popup, Told
from subscriptions.grants.worth import Worth

# Asked of every report.
_TOLD: Final = Prepared(
    lambda people, keys: Answer.objects.filter(subscriber_id__in=people, request_key__in=keys).values_list(
        "subscriber_id", "template_id", "request_key"
    )
)

_RELATIONS: Final = Prepared(
    lambda templates, people: Subscription.objects.filter(template_id__in=templates, subscriber_id__in=people)
)


def unknown(answers: Sequence[NewAnswer]) -> list[NewAnswer]:
    """Return those nobody has told us of yet, each once."""
    known = set(
        _TOLD.rows(people=list({new.subscriber_id for new in answers}), keys=list({new.request_key for new in answers}))
    )
    unique = {new.identity: new for new in answers}
    return [new for identity, new in unique.items() if identity not in known]


def relations(fresh: Sequence[NewAnswer]) -> dict[tuple[int, int], Subscription]:
    """Return the standing relations that answers speak of, by template and person."""
    known = _RELATIONS.objects(
        templates=list({new.template.pk for new in fresh}), people=list({new.subscriber_id for new in fresh})
    )
    return {(relation.template_id, relation.subscriber_id): relation for relation in known}


def write_down(fresh: Sequence[NewAnswer], *, popups: Sequence[Popup], worth: Worth) -> list[Answer]:
    """Write answers with their partners and units; where older ones have new partners, those are written, too."""
    parted = [pk for popup in popups for pk in popup.parted]
    if parted:
        Answer.objects.filter(pk__in=parted).update(pair=None)
    partners = {told.new.identity: other for popup in popups for told, other in popup.sides if told.new}
    units = {new.told.new.identity: new.units for new in worth.new if new.told.new}
    rows = Answer.objects.bulk_create(
        [_row(new, units=units.get(new.identity, 0), pair=partners.get(new.identity)) for new in fresh], batch_size=500
    )
    pks = {new.identity: row.pk for new, row in zip(fresh, rows, strict=True)}
    for told in [*(told for popup in popups for told in popup.told), *(new.told for new in worth.new)]:
        told.pk = pks[told.new.identity] if told.new else told.pk
    late = [sorted((told.answer_id for told in one.told), reverse=True) for one in popups if one.is_found_late]
    update_from_values(Answer, columns=["pair"], rows=late, only_if="t.pair_id IS NULL")
    return rows


def recount(pks: Collection[int]) -> None:
    """Say anew how many units answers of before granted: some have got theirs late, or from another answer."""
    if pks:
        granted = Grant.objects.filter(answer=OuterRef("pk")).order_by().values("answer").annotate(units=Count("pk"))
        Answer.objects.filter(pk__in=pks).update(units=Coalesce(Subquery(granted.values("units")), 0))


def _row(new: NewAnswer, *, units: int, pair: Told | None) -> Answer:
    return Answer(
        subscriber_id=new.subscriber_id,
        template=new.template,
        scene_id=new.scene_id,
        answer=new.answer,
        source=new.source,
        units=units,
        is_silent=new.is_silent,
        request_key=new.request_key,
        answered_at=new.answered_at,
        pair_id=pair.pk if pair else None,
    )


def banned_later(
    said: Mapping[tuple[int, int], datetime], *, relations: Iterable[Subscription]
) -> set[tuple[int, int]]:
    """Return the banned relations of which WeChat's ban was seen after what the person said then."""
    banned = [one for one in relations if one.state == Subscription.State.BANNED]
    if not banned:
        return set()
    seen = Answer.objects.filter(
        subscriber_id__in={one.subscriber_id for one in banned},
        template_id__in={one.template_id for one in banned},
        answer=BAN,
    )
    latest = seen.values_list("template_id", "subscriber_id").annotate(at=Max("answered_at"))
    until = {(template_id, subscriber_id): at for template_id, subscriber_id, at in latest}
    keys = {(one.template_id, one.subscriber_id) for one in banned} & said.keys() & until.keys()
    return {key for key in keys if until[key] > said[key]}
