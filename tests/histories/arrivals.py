"""The kinds of arrival, one function each, in a few lines; a history draws some of them every day."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.histories.world import DAYS, PEOPLE, event, run, text

if TYPE_CHECKING:
    from tests.histories.world import World


def a_day(world: World) -> None:
    """What every day brings: its run, on record at once or days later, and a file of events of each client."""
    for client in world.clients:
        record = json.dumps(run(world, client, world.day)) + "\n"
        name = world.rng.choice(["all", client, f"day-{world.day}"])
        on = world.day + world.rng.choice([0, 0, 0, 1, 2, 5, DAYS])
        world.later.append((on, f"platform/campaign_runs/{name}.ndjson", record))
        for _ in range(world.rng.randrange(3, 12)):
            world.post(f"sendgrid/{world.moment(world.day):%Y-%m-%d}-{client}.ndjson", event(world, namespace=client))
    world.arrive()


def retry(world: World) -> None:
    """Events again, under their ids or others, as of then or of today; or another client says they are its own."""
    for _ in range(3):
        received_at, payload = world.rng.choice(world.posts)
        other = {"sg_event_id": f"another {world.new()} of {world.seed}"}
        again = payload | world.rng.choice([{}, {}, other, {"namespace": world.client()}])
        world.post(f"sendgrid/retry-{world.day}.ndjson", again, world.rng.choice([received_at, world.at()]))


def replay(world: World) -> None:
    """All that came on the first days comes once more, today, under its ids or others."""
    until = text(world.moment(max(1, world.day - 4)))
    for received_at, payload in list(world.posts):
        if received_at < until and world.rng.random() < 0.3:
            again = payload | world.rng.choice([{}, {"sg_event_id": f"replayed {world.new()} of {world.seed}"}])
            world.post(f"sendgrid/replay-{world.day}.ndjson", again)


def first_sight(world: World) -> None:
    """A post of days ago lands now, of an event that has been known since, or an event's oldest posts are gone."""
    received_at, payload = world.rng.choice(world.posts)
    if world.rng.random() < 0.5:
        early_on = world.at(world.rng.randrange(-3, max(1, world.day - 3)))
        world.post(f"sendgrid/first-{world.day}.ndjson", payload, early_on)
    elif name := world.file(f"sendgrid/{received_at[:10]}", "sendgrid/first", "sendgrid/2"):
        world.take(name)


def early(world: World) -> None:
    """An event received before the one that was had first: now this is the event, and that its retry."""
    _, payload = world.rng.choice(world.posts)
    world.post(f"sendgrid/early-{world.day}.ndjson", payload, world.at(world.day - world.rng.randrange(5)))


def late(world: World) -> None:
    """Events that were received days ago, and land now."""
    for _ in range(3):
        world.post(f"sendgrid/late-{world.day}.ndjson", event(world), world.at(world.day - world.rng.randrange(9)))


def silent(world: World) -> None:
    """Bounces and complaints that say only of which message they are."""
    for _ in range(2):
        kept = ("sg_event_id", "sg_message_id", "smtp-id", "email", "timestamp")
        said = {name: value for name, value in event(world).items() if name in kept}
        said.pop(world.rng.choice(["sg_message_id", "smtp-id", "timestamp"]))
        kind = world.rng.choice([{"event": "bounce", "type": "bounce"}, {"event": "spamreport"}, {"event": "bounce"}])
        world.post(f"sendgrid/silent-{world.day}.ndjson", said | kind, world.at(world.day - world.rng.randrange(3)))


def new_run(world: World) -> None:
    """A run's record changes: told earlier or later, incomplete, without audience, or in another journey."""
    day, client = world.rng.randrange(world.day + 1), world.client()
    told = {"updated_at": text(world.moment(day, world.rng.choice([30, 60, 90, 86400 * 3])))}
    change = world.rng.choice(
        [{}, {"subject_line": "Another"}, {"subject_line": None}, {"audience_id": None}, {"audience_id": ["2", "3"]},
         {"journey_id": "journey-2"}, {"campaign_run_time": text(world.moment(day, 3600 * 6))}, {"campaign_name": ""}]
    )  # fmt: skip
    world.add(f"platform/campaign_runs/change-{world.new()}.ndjson", run(world, client, day, **change, **told))


def told_again(world: World) -> None:
    """Records of runs are written anew at another time, with nothing else in them."""
    if name := world.file("platform/campaign_runs/"):
        lines = [json.loads(line) for line in world.texts[name].splitlines()]
        again = [line | {"updated_at": world.at(world.rng.randrange(world.day + 1))} for line in lines]
        world.put(name, "".join(json.dumps(line) + "\n" for line in again))


def journey(world: World) -> None:
    """A journey is first told, or renamed, at some time."""
    record = {"namespace": world.client(), "journey_id": world.rng.choice(["journey-1", "journey-2"])}
    name = world.rng.choice(["Welcome", "Winback", "", None])
    at = world.at(world.rng.randrange(world.day + 1))
    world.add(f"platform/journeys/{world.new()}.ndjson", {**record, "journey_name": name, "updated_at": at})


def client_record(world: World) -> None:
    """A client's settings change; or a third client is known from now on, of whom events came before."""
    third = f"third_{world.seed}"
    name = world.rng.choice([*world.clients, third])
    record = {"namespace": name, "name": name, "updated_at": world.at(), "default_country": "US"}
    world.add(f"platform/namespaces/{name}-{world.new()}.ndjson", {**record, "soft_bounce_limit": 3})
    world.post(f"sendgrid/third-{world.day}.ndjson", event(world, namespace=third))
    world.add("platform/campaign_runs/third.ndjson", run(world, third, world.day))


def campaign_or_audience(world: World) -> None:
    """Records that stand in no growing table."""
    of = {"namespace": world.client(), "updated_at": world.at(world.rng.randrange(world.day + 1))}
    world.add("platform/campaigns/more.ndjson", {**of, "campaign_id": 7, "campaign_name": f"Renamed {world.new()}"})
    world.add("platform/audiences/all.ndjson", {**of, "audience_id": "1", "audience_name": f"Named {world.new()}"})


def customer(world: World) -> None:
    """A customer moves, consents or withdraws, told in any order."""
    person = world.rng.randrange(PEOPLE + 2)
    address = world.rng.choice([f"person{person}@example.com", f"moved{person}@example.com", "no address", None])
    consent = {"email_consent": world.rng.choice([True, False, None]), "email_consent_at": world.at()}
    record = {"namespace": world.client(), "customer_id": f"c{person}", "email": address, "phone": "+12025550121"}
    world.add(f"platform/customers/more-{world.day}.ndjson", {**record, **consent, "updated_at": world.at()})


def halt(world: World) -> None:
    """Sends that were prevented; told twice, today or the day before."""
    fields = ("namespace", "email", "campaign_run_id", "nqe", "journey_id")
    said = {name: value for name, value in event(world).items() if name in fields}
    for _ in range(world.rng.choice([1, 2])):
        received_at = world.at(world.day - world.rng.randrange(2))
        again = said | {"halt_id": f"h{world.day} of {world.seed}", "received_at": received_at}
        world.add(f"platform/halts/{world.day}.ndjson", again)


def unsubscribe(world: World) -> None:
    """From a screen, or by a pixel in an email."""
    said = event(world)
    record = {"namespace": said["namespace"], "email": said["email"], "source": world.rng.choice(["Manual", "Pixel"])}
    record |= world.rng.choice([{}, {"campaign_run_id": said["campaign_run_id"], "nqe": said["nqe"]}])
    received_at = world.at(world.day - world.rng.randrange(4))
    record |= {"unsubscribe_id": f"u{world.rng.randrange(20)} of {world.seed}", "received_at": received_at}
    world.add(f"platform/unsubscribes/{world.rng.randrange(3)}.ndjson", record)


def shop(world: World) -> None:
    """Orders that are told again with another status or amount, products, visits, scores."""
    of = {"namespace": world.client(), "customer_id": f"c{world.rng.randrange(PEOPLE)}", "updated_at": world.at()}
    product = {"namespace": of["namespace"], "product_id": "p", "updated_at": of["updated_at"]}
    order = {**of, "order_id": f"o{world.rng.randrange(9)}", "ordered_at": world.at(), "currency": "EUR"}
    money = {"status": world.rng.choice(["placed", "cancelled"]), "total": world.rng.randrange(99), "lines": [product]}
    world.add(f"commerce/orders/{world.day}.ndjson", order | money)
    world.add("commerce/products/all.ndjson", product | {"attributes": {"name": f"Product {world.new()}"}})
    visit = {"session_id": f"s{world.day}", "started_at": world.at(), "views": [product], "device_type": "Mobile"}
    world.add("commerce/sessions/all.ndjson", of | visit)
    score = {"model": "pclv", "score": world.rng.random(), "computed_at": world.at()}
    world.add("data_science/scores/all.ndjson", of | score)


def remove(world: World) -> None:
    """A file is gone; of records too."""
    folders = ("campaign_runs/", "journeys/", "unsubscribes/", "halts/", "customers/more", "namespaces/third")
    if name := world.file("sendgrid/", "sendgrid/", *(f"platform/{folder}" for folder in folders)):
        world.take(name)


def bring_back(world: World) -> None:
    """A file that was gone is there again, as it was and when it was; where none was, one goes."""
    if not world.gone:
        return remove(world)
    name = world.rng.choice(sorted(world.gone))
    content, at = world.gone.pop(name)
    return world.put(name, content, at=at)


def rewrite(world: World) -> None:
    """A file is written anew with some of its lines, in another order."""
    if name := world.file("sendgrid/", "sendgrid/", "platform/", "commerce/"):
        lines = [line for line in world.texts[name].splitlines(keepends=True) if world.rng.random() < 0.8]
        world.put(name, "".join(world.rng.sample(lines, len(lines))))


def grow(world: World) -> None:
    """A file gets more lines; or only another time."""
    if name := world.file("sendgrid/"):
        world.add(name, *world.rng.choice([[], [{"received_at": world.at(), "payload": event(world)}]]))


def half_a_line(world: World) -> None:
    """A loader that is in the middle of a line; the rest of it comes another day."""
    line = json.dumps({"received_at": world.at(), "payload": event(world)}) + "\n"
    cut, name = world.rng.randrange(1, len(line)), f"sendgrid/half-{world.new()}.ndjson"
    world.put(name, line[:cut])
    world.later.append((world.day + world.rng.randrange(1, 4), name, line[cut:]))


def double(world: World) -> None:
    """The lines of a file once more: in it, or in another, packed."""
    if name := world.file("sendgrid/"):
        content = world.texts[name]
        world.put(*world.rng.choice([(name, content + content), (f"sendgrid/copy-{world.new()}.ndjson.gz", content)]))


def damaged(world: World) -> None:
    """A packed file that is cut, whole the next day; lines that are no records."""
    name = f"sendgrid/packed-{world.new()}.ndjson.gz"
    world.put(name, json.dumps({"received_at": world.at(), "payload": event(world)}) + "\n", lost=9)
    world.later.append((world.day + 1, name, ""))
    entity = world.rng.choice(["halts", "journeys", "customers"])
    world.put(f"platform/{entity}/odd-{world.new()}.ndjson", '{"a": \n[]\n')


def another_program(world: World) -> None:
    """Whole POST bodies, of a program that nobody used before."""
    agent = f"{world.rng.choice(world.agents)} {world.new()}"
    name = f"sendgrid/posts/{world.moment(world.day, world.rng.randrange(86400)):%Y%m%dT%H%M%SZ}.json"
    world.put(name, json.dumps([event(world, useragent=agent, event="open"), event(world)]))


ARRIVALS = (
    *(retry, replay, first_sight, early, late, silent, new_run, told_again, journey, client_record, customer, halt),
    *(campaign_or_audience, unsubscribe, shop, remove, bring_back, rewrite, grow, half_a_line, double, damaged),
    another_program,
)
