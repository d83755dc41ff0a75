"""One of the processes of a race: claims, arms and settles as fast as it can, and prints what it sent."""

from __future__ import annotations

import sys
import time

import django

PATIENCE_SECONDS = 60


def main(job_ids: list[int]) -> None:
    django.setup()
    from notify_platform.delivery.models import Delivery
    from notify_platform.jobs.models import SendJob

    ends_at = time.monotonic() + PATIENCE_SECONDS
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    while time.monotonic() < ends_at and Delivery.objects.filter(state__in=Delivery.OPEN).exists():
        for job in SendJob.objects.filter(pk__in=job_ids).select_related("template", "mini_program"):
            for delivery_id in send_some(job):
                sys.stdout.write(f"{delivery_id}\n")


def send_some(job) -> list[int]:
    from notify_platform.delivery import claims, settlement
    from notify_platform.wechat.gateway import SendResult
    from notify_platform.wechat.outcomes import outcome_of_code

    claim = claims.claim(job, limit=7, wordings=claims.Wordings())
    armed = claims.arm(claim.token, delivery_ids=[message.delivery_id for message in claim.messages])
    accepted = SendResult(outcome=outcome_of_code(0), code=0)
    landed = [settlement.Landed(message=one, result=accepted) for one in claim.messages if one.delivery_id in armed]
    settlement.settle(job.mini_program, token=claim.token, landed=landed)
    return sorted(armed)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]])
