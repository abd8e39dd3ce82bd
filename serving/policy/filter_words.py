"""A filter in a sentence's words, so that whoever approves an audience reads what they approve."""

from collections.abc import Sequence
from datetime import date, timedelta

from serving.policy.columns import Column
from serving.policy.filters import Condition, Every, Filter, Not, Some, Value
from serving.words import LANGUAGES, Language, say, say_date

EVERYONE = ("すべての顧客", "everyone")
AND, OR, NOT = ("、かつ", ", and "), ("、または", ", or "), ("({part})ではない", "not ({part})")
ALTERNATIVES = ("・", " or ")
IS, IS_AMONG = ("{name}が{values}", "{name} is {values}"), ("{name}が{values}のいずれか", "{name} is {values}")
HOLDS = ("{name}に{values}を含む", "{name} include {values}")
LEAST, MOST = ("{name}が{low}以上", "{name} at least {low}"), ("{name}が{high}以下", "{name} at most {high}")
WITHIN = ("{name}が{low}以上{high}以下", "{name} from {low} to {high}")
FROM_DAY, UNTIL_DAY = ("{name}が{low}以降", "{name} on or after {low}"), ("{name}が{high}まで", "{name} by {high}")
FROM_TO_DAY = ("{name}が{low}から{high}まで", "{name} from {low} to {high}")
YES, NO = ("はい", "yes"), ("いいえ", "no")
TODAY, AHEAD, AGO = ("当日", "today"), ("{n}日後", "{n} days ahead"), ("{n}日前", "{n} days ago")


def words(read: Filter, lang: Language) -> str:
    """Say in plain words who is meant.

    >>> from serving.policy.columns import CUSTOMER
    >>> from serving.policy.filters import parse
    >>> who = parse({"lifecycle": ["at_risk", "dormant"], "promo_share": {"max": 0.8}}, CUSTOMER)
    >>> words(who, "en")
    'Life stage is At risk or Dormant, and Share of orders with a discount at most 80 %'
    >>> words(who, "ja")
    'ステージが離脱予兆・休眠のいずれか、かつセール・クーポン利用率が80%以下'
    """
    match read:
        case Condition():
            return _test(read, lang)
        case Not(part=part):
            return say(NOT, lang, part=words(part, lang))
        case Every(parts=()):
            return say(EVERYONE, lang)
        case Every(parts=parts):
            return say(AND, lang).join(_inner(part, lang) for part in parts)
        case Some(parts=parts):
            return say(OR, lang).join(_inner(part, lang) for part in parts)


def _inner(part: Filter, lang: Language) -> str:
    """Say a part of a group; a group of several inside it stands in brackets."""
    told = words(part, lang)
    return f"({told})" if isinstance(part, Every | Some) and len(part.parts) > 1 else told


def _test(read: Condition, lang: Language) -> str:
    name, told = say(read.column.said, lang), []
    if read.among is not None:
        values = say(ALTERNATIVES, lang).join(_value(value, read.column, lang) for value in read.among)
        how = HOLDS if read.column.kind == "texts" else IS if len(read.among) == 1 else IS_AMONG
        told.append(say(how, lang, name=name, values=values))
    low, high = (None if end is None else _value(end, read.column, lang) for end in (read.low, read.high))
    if low is not None or high is not None:
        told.append(say(_range(read), lang, name=name, low=low, high=high))
    return say(AND, lang).join(told)


def _range(read: Condition) -> tuple[str, str]:
    ways: Sequence[tuple[str, str]] = (
        (FROM_DAY, UNTIL_DAY, FROM_TO_DAY) if read.column.kind == "date" else (LEAST, MOST, WITHIN)
    )
    return ways[2] if read.low is not None and read.high is not None else ways[0 if read.high is None else 1]


def _value(value: Value, column: Column, lang: Language) -> str:
    match value:
        case bool():
            return say(YES if value else NO, lang)
        case timedelta(days=0):
            return say(TODAY, lang)
        case timedelta(days=days):
            return say(AHEAD if days > 0 else AGO, lang, n=abs(days))
        case date():
            return say_date(value, lang)
        case str():
            return column.among[value][LANGUAGES.index(lang)] if value in column.among else value
    if column.unit == "share":
        return f"{value * 100:.10g}" + ("%" if lang == "ja" else " %")
    return f"{value:,.10g}" + ({"ja": "日", "en": " days"}[lang] if column.unit == "days" else "")
