"""The words of providers and of shops, and what they mean, from their own documentation and from the specification."""

from __future__ import annotations

import crawleruseragents

from tests.crosscheck.values import lower

EVENTS = {
    "processed": "send",
    "delivered": "deliver",
    "open": "open",
    "click": "click",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
    "group_resubscribe": "resubscribe",
    "dropped": "dropped",
    "deferred": "deferred",
    "spamreport": "spam_report",
}
NO_EXPORTS = ("send", "resubscribe")
HARD_TYPES, SOFT_TYPES = {"bounce", "bounced", "hard"}, {"blocked", "block", "expired", "soft"}
HARD_CLASSES = {"invalid address"}
SOFT_CLASSES = {"content", "reputation", "frequency or volume too high", "technical failure"}
# How somebody unsubscribes, where no source is named; automatic ones are no clicks of a person.
SOURCES = {
    "unsubscribe": "List-Unsubscribe",
    "resubscribe": "Resubscribe",
    "hard_bounce": "Bounce/Bounce",
    "soft_bounce": "Bounce/Blocked",
    "spam_report": "Spamreport",
}
NOT_BY_EMAIL = {"manual", "email file", "spamreport", "bounce/bounce", "bounce/blocked"}
NO_PURCHASES = {
    *("cancelled", "canceled", "refunded", "returned", "failed", "declined", "voided", "expired", "abandoned", "draft"),
    *("void", "denied", "rejected", "chargeback", "charged back", "reversed", "fraud", "payment failed", "error"),
    *("incomplete", "checkout draft", "trash", "deleted"),
}
# ISO 4217; all others have two.
NO_DIGITS = {
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"),
    *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
}
THREE_DIGITS = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
# In the name of a program, beside those of the list that others keep.
PROGRAMS = ("bot/", "crawler", "spider", "barracuda", "mimecast", "proofpoint", "urldefense", "safelinks", "linkscan")
PROXIES = ("imageproxy", "image proxy", "mailproxy")
TABLETS = ("ipad", "tablet", "kindle", "silk/")
PHONES = ("iphone", "ipod", "windows phone", "mobile")
DESKTOPS = ("windows nt", "macintosh", "cros ", "x11", "linux")


def bounce(kind: str | None, classification: str | None, reply: str | None) -> str:
    """Hard or soft: by type, else by classification, else by the first digit of the server's reply, else soft."""
    for said, hard, soft in ((kind, HARD_TYPES, SOFT_TYPES), (classification, HARD_CLASSES, SOFT_CLASSES)):
        if said in hard or said in soft:
            return "hard_bounce" if said in hard else "soft_bounce"
    return "hard_bounce" if (reply or "").startswith("5") else "soft_bounce"


def device(agent: str) -> str:
    """What a program runs on, by its name; a proxy's device is not the reader's."""
    name = lower(agent)
    for kind, marks in (("unknown", PROXIES), ("tablet", TABLETS), ("mobile", PHONES)):
        if any(mark in name for mark in marks):
            return kind
    if "android" in name:
        return "tablet"
    return "desktop" if any(mark in name for mark in DESKTOPS) else "unknown"


def is_program(agent: str) -> bool:
    """Whether nobody sits before it."""
    return any(mark in lower(agent) for mark in PROGRAMS) or crawleruseragents.is_crawler(agent)


def digits(currency: str | None) -> int:
    """How many digits an amount has after the point."""
    return 0 if currency in NO_DIGITS else 3 if currency in THREE_DIGITS else 2
